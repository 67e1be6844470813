"""Edits trained for effect: on the composed crop, as the user sees it, with the encoder frozen.

An edit of attribute a is to change the verdict on a to that of a typical face that has (or lacks) a, leave
the verdicts on the others, and mix in no more of the other attributes than that takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from aif.runtime.bundle.attributes import AttributeInfo
from aif.runtime.geometry import points as dense
from aif.train.evaluators.evaluator import resize_area
from aif.train.shape.best.compose import Composer, Where
from aif.train.shape.best.config import Effect
from aif.train.shape.best.networks import Decoding, ShapeDecoder, ShapeEncoder
from aif.train.shape.best.step import move
from aif.train.shape.faces.known import NARROW_MOUTH, WIDE_MOUTH
from aif.train.shape.faces.store import Faces

MOUTH_PRICE = 8.0
"""What mixing Mouth_Slightly_Open into another edit costs, in shares of what others cost."""

LEAST_GOAL = 0.5
"""Typical verdicts nearer to doubt than this logit are replaced by it."""


@dataclass(frozen=True)
class Goals:
    """What verdicts on untouched faces are like: (A,) typical logits without and with each attribute."""

    absent: Tensor
    present: Tensor

    @classmethod
    def of(cls, logits: Tensor, y: Tensor) -> Goals:
        """Medians over verdicts (N, A) of faces with labels y (N, A); for a kind without faces, 3 and -3."""
        absent, present = [], []
        for column, label in zip(logits.float().T, y.T, strict=True):
            without, having = column[label < 0.5], column[label > 0.5]
            absent.append(without.median() if len(without) else column.new_tensor(-3.0))
            present.append(having.median() if len(having) else column.new_tensor(3.0))
        low = torch.stack(absent).clamp(max=-LEAST_GOAL)
        return cls(low, torch.stack(present).clamp(min=LEAST_GOAL))

    @property
    def distance(self) -> Tensor:
        """(A,) between the two."""
        return self.present - self.absent


@dataclass(frozen=True)
class Request:
    """What is requested of each face of a batch.

    Attributes:
        attribute: int64 (N,) the edited attribute.
        value: (N,) the value that it gets, 0 or 1.
        along: (N,) how far Mouth_Slightly_Open goes along with Smiling, 0 to 1; 0 elsewhere.
        shift: pixels by which verdicts see their crops moved, down and right.
    """

    attribute: Tensor
    value: Tensor
    along: Tensor
    shift: tuple[int, int] = (0, 0)


class Editing:
    """What the third stage has beside encoder and decoder: composition, verdicts, goals; not trained."""

    def __init__(
        self,
        composer: Composer,
        verdict: Callable[[Tensor], Tensor],
        goals: Goals,
        attributes: Sequence[AttributeInfo],
        effect: Effect,
    ) -> None:
        self.composer, self.verdict, self.goals, self.effect = composer, verdict, goals, effect
        names, device = [info.name for info in attributes], goals.absent.device
        broad = torch.tensor([name in effect.broad for name in names], device=device)
        self.narrow = torch.where(broad, 0.25, 1.0)
        self.bones = torch.where(broad, effect.bones, 1.0)
        self.every = Where.of(attributes, composer.frame, composer.texture_size, device)
        self.smiling = names.index("Smiling") if "Smiling" in names else -1
        self.mouth = names.index("Mouth_Slightly_Open") if "Mouth_Slightly_Open" in names else -1

    def where(self, request: Request) -> Where:
        """Where the edits may act."""
        return self.every.rows(request.attribute, request.value)

    def wanted(self, y: Tensor, request: Request) -> Tensor:
        """y (N, A) as requested."""
        y = y.clone()
        here = torch.arange(len(y), device=y.device)
        y[here, request.attribute] = 0.5 + self.effect.strength * (2 * request.value - 1) / 2
        if self.mouth >= 0:
            y[:, self.mouth] += request.along * (request.value - y[:, self.mouth])
        return y

    def prices(self, request: Request) -> Tensor:
        """What mixing a bit of each attribute in costs, for the shape and for the texture, (N, 2, A): 1, and
        less for the edited one.

        The mouth costs most: a shut one that opens shows teeth that the photo does not have.
        """
        prices = self.narrow.new_ones(len(request.attribute), len(self.narrow))
        if self.mouth >= 0:
            prices[:, self.mouth] = MOUTH_PRICE
        prices[torch.arange(len(prices), device=prices.device), request.attribute] = self.effect.own
        return torch.stack([prices * self.bones[request.attribute][:, None], prices], dim=1)


def effect_step(
    networks: tuple[ShapeEncoder, ShapeDecoder],
    optimiser: Optimizer,
    faces: Faces,
    request: Request,
    editing: Editing,
) -> dict[str, Tensor]:
    """One iteration: the decoder's mixing network learns; returns the terms."""
    encoder, decoder = networks
    with torch.no_grad():
        code = encoder(faces.texture, faces.points)
        crop = resize_area(faces.crop, editing.composer.size)
        before_logits = editing.verdict(crop.roll(request.shift, dims=(2, 3)))
    z, asked = code.mean, editing.wanted(code.y, request)
    both = decoder.decode(torch.cat([z, z]), torch.cat([code.y, asked]))
    source, target = (Decoding(*parts) for parts in zip(*(part.chunk(2) for part in both), strict=True))
    edit = editing.composer.edit(source, target, faces.texture, editing.where(request))
    composed = editing.composer(crop, faces.points, edit)
    logits = editing.verdict(composed.roll(request.shift, dims=(2, 3)))
    lacking, gone = verdict_terms(logits, before_logits, request, editing)
    at_rest, edited = (torch.stack(decoder.mixed(z, y), dim=1) for y in (code.y, asked))
    terms = {
        "verdict": lacking,
        "others": gone,
        "mouth": mouth_term(faces.points, faces.points + edit.moves),
        "mixing": ((edited - at_rest).square() * editing.prices(request)).sum(dim=(1, 2)).mean(),
        "rest": at_rest.square().sum(dim=(1, 2)).mean(),
    }
    weighted = (getattr(editing.effect, name) * term for name, term in terms.items())
    move(optimiser, sum(weighted, torch.zeros(())))
    return {name: term.detach() for name, term in terms.items()}


def mouth_term(before: Tensor, after: Tensor) -> Tensor:
    """Squared distance of mouths' widths from those of most people, in eye distances; landmarks (N, 221, 2).

    A mouth that was narrower or wider before may stay so.
    """
    eyes = (before[:, dense.LEFT_EYE].mean(dim=1) - before[:, dense.RIGHT_EYE].mean(dim=1)).norm(dim=1)
    corners = (p[:, dense.LEFT_MOUTH] - p[:, dense.RIGHT_MOUTH] for p in (before, after))
    own, new = (corner.norm(dim=1) / eyes for corner in corners)
    offset, slope = NARROW_MOUTH
    low = torch.minimum(own, offset + slope * own)
    beyond = F.relu(low - new) + F.relu(new - own.clamp(min=WIDE_MOUTH))
    return beyond.square().mean()


def verdict_terms(
    logits: Tensor, before: Tensor, request: Request, editing: Editing
) -> tuple[Tensor, Tensor]:
    """What the edited attribute's verdict lacks, and how far the others' have gone; logits (N, A).

    Both in units of the distance between typical faces without and with the attribute.
    """
    goals, edited = editing.goals, request.attribute
    here = torch.arange(len(logits), device=logits.device)
    wanted = torch.where(request.value > 0.5, goals.present[edited], goals.absent[edited])
    sign = request.value * 2 - 1
    lacking = F.relu(sign * (wanted - logits[here, edited])) / goals.distance[edited]
    other = torch.ones_like(logits)
    other[here, edited] = 0
    if editing.mouth >= 0:
        other[:, editing.mouth] *= (request.along == 0).float()
    gone = ((logits - before) / goals.distance).square() * other
    return lacking.mean(), (gone.sum(dim=1) * editing.narrow[edited]).mean()
