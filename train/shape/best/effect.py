"""Edits trained for effect: on the composed crop, as the user sees it, with the encoder frozen.

An edit of attribute a is to change the verdict on a to that of a typical face that has (or lacks) a, leave
the verdicts on the others, pass for an untouched face, and tint and move no more than that takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.geometry import points as dense
from aif.train.algorithm import losses
from aif.train.algorithm.update import frozen
from aif.train.evaluators.evaluator import resize_area
from aif.train.shape.best.compose import Composer, Edit
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.step import Optimisers, Players, move, reconstruction
from aif.train.shape.faces.store import Faces

LEAST_GOAL = 0.5
"""Typical verdicts nearer to doubt than this logit are replaced by it."""


@dataclass(frozen=True)
class Goals:
    """What verdicts on untouched faces are like.

    Attributes:
        absent, present: (A,) typical logits of faces without and with each attribute.
    """

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
    """

    attribute: Tensor
    value: Tensor
    along: Tensor


class Editing(nn.Module):
    """What the third stage has beside encoder and decoder: composition, verdicts, goals; not trained."""

    def __init__(
        self,
        composer: Composer,
        verdict: nn.Module,
        goals: Goals,
        attributes: Sequence[str],
        strength: float = 1.0,
    ) -> None:
        super().__init__()
        self.composer, self.verdict = composer, verdict
        self.goals, self.strength = goals, strength
        names = list(attributes)
        self.smiling = names.index("Smiling") if "Smiling" in names else -1
        self.mouth = names.index("Mouth_Slightly_Open") if "Mouth_Slightly_Open" in names else -1
        triangles = composer.frame.triangles[~composer.frame.inner_mouth]
        sides = torch.tensor(triangles.astype("int64"))[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        sides = torch.unique(sides[(sides < dense.COUNT).all(dim=1)].sort(dim=1).values, dim=0)
        self.edges: Tensor
        self.register_buffer("edges", sides)

    def wanted(self, y: Tensor, request: Request) -> Tensor:
        """y (N, A) as requested."""
        y = y.clone()
        here = torch.arange(len(y), device=y.device)
        y[here, request.attribute] = 0.5 + self.strength * (2 * request.value - 1) / 2
        if self.mouth >= 0:
            y[:, self.mouth] += request.along * (request.value - y[:, self.mouth])
        return y


def effect_step(
    players: Players,
    optimisers: Optimisers,
    faces: Faces,
    request: Request,
    editing: Editing,
    config: ShapeConfig,
    step: int,
) -> dict[str, Tensor]:
    """One iteration: the decoder, then the discriminator; returns the terms.

    Args:
        players: encoder and decoder, and the discriminator of crops (not that of textures).
        faces: a batch with crops.
        request: what is edited in each.
        step: of the whole training, from 0.
    """
    e, decoder, critic = config.effect, players.decoder, players.critic
    terms: dict[str, Tensor] = {}
    with torch.no_grad():
        code = players.encoder(faces.texture, faces.points)
        asked = editing.wanted(code.y, request)
        crop = resize_area(faces.crop, editing.composer.size)
        shift = [int(n) for n in torch.randint(-2, 3, (2,), generator=torch.Generator().manual_seed(step))]
        before_logits = editing.verdict(crop.roll(shift, dims=(2, 3)))
    log_textures, points = decoder.decode(torch.cat([code.mean, code.mean]), torch.cat([code.y, asked]))
    (source, target), (p, q) = log_textures.chunk(2), points.chunk(2)
    edit = editing.composer.edit((source, p), (target, q))
    composed = editing.composer(crop, faces.points, edit)
    logits = editing.verdict(composed.roll(shift, dims=(2, 3)))
    terms["verdict"], terms["others"] = verdict_terms(logits, before_logits, request, editing)
    terms["gain"], terms["variation"], terms["moves"], terms["bend"] = size_terms(edit, editing)
    terms["rec"] = reconstruction(source, p, faces, config.algorithm1)
    loss = sum(
        (
            getattr(e, name) * terms[name]
            for name in ("verdict", "others", "gain", "variation", "moves", "bend")
        ),
        e.reconstruction * terms["rec"],
    )
    with frozen(critic):
        if e.realism:
            terms["gan"] = losses.gan_generator(critic(composed))
            loss = loss + e.realism * terms["gan"]
    move(optimisers.autoencoder, loss)
    if e.realism:
        real = crop.clone()
        penalised = e.r1 > 0 and step % e.r1_every == 0
        real.requires_grad_(penalised)
        verdict = critic(real)
        terms["critic"] = losses.gan_real(verdict) + losses.gan_fake(critic(composed.detach()))
        total = terms["critic"]
        if penalised:
            (gradient,) = torch.autograd.grad(verdict.mean(dim=1).sum(), real, create_graph=True)
            terms["r1"] = gradient.square().sum(dim=(1, 2, 3)).mean()
            total = total + 0.5 * e.r1 * e.r1_every * terms["r1"]
        move(optimisers.critic, total)
    return {name: term.detach() for name, term in terms.items()}


def verdict_terms(
    logits: Tensor, before: Tensor, request: Request, editing: Editing
) -> tuple[Tensor, Tensor]:
    """What the edited attribute's verdict lacks, and how far the others' have gone; logits (N, A).

    Both in units of the distance between typical faces without and with the attribute.
    """
    goals = editing.goals
    here = torch.arange(len(logits), device=logits.device)
    wanted = torch.where(
        request.value > 0.5, goals.present[request.attribute], goals.absent[request.attribute]
    )
    sign = request.value * 2 - 1
    distance = goals.distance[request.attribute]
    lacking = F.relu(sign * (wanted - logits[here, request.attribute])) / distance
    other = torch.ones_like(logits)
    other[here, request.attribute] = 0
    if editing.mouth >= 0:
        other[:, editing.mouth] *= (request.along == 0).float()
    gone = ((logits - before) / goals.distance).square() * other
    return lacking.mean(), gone.sum(dim=1).mean()


def size_terms(edit: Edit, editing: Editing) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean absolute gain over the face, its variation, squared movements, their differences on edges."""
    area = editing.composer.mask.mean()
    gain = edit.gain.abs().mean() / area
    across = (edit.gain[..., 1:] - edit.gain[..., :-1]).abs().mean()
    down = (edit.gain[..., 1:, :] - edit.gain[..., :-1, :]).abs().mean()
    moves = edit.moves * 128
    a, b = editing.edges.unbind(dim=1)
    bend = (moves[:, a] - moves[:, b]).square().sum(dim=2).mean()
    return gain, (across + down) / area, moves.square().sum(dim=2).mean(), bend
