"""What a measurement of edits found: frozen results, as JSON and as a table for people."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Literal

from aif.train.statistics import Share, without_nan

Direction = Literal["on", "off"]
"""From absent to present, or from present to absent."""

Blend = Literal["delta", "replace"]
"""How a decoded crop gets into the photo: its change is added, or it takes the photo's place."""

Path = Literal["decoded", "delta", "replace"]
"""What was looked at: the decoder's own picture, or the photo after one way of blending."""


@dataclass(frozen=True)
class GroupScore:
    """Success of one edit among faces whose label has an attribute, and among those whose label has not."""

    group: str
    present: Share
    absent: Share


@dataclass(frozen=True)
class EditScore:
    """One attribute, one direction, one way to look at the result.

    Attributes:
        attribute: the attribute that was asked for.
        direction: "on" or "off".
        path: "decoded", or how it was blended.
        success: faces on which the evaluator sees the wanted value; n counts those on which label and
            evaluator both said the opposite.
        collateral: share of predictions of all other attributes that differ between the edited picture and
            the same picture without the edit (the reconstruction, composed likewise), in [0, 1].
        most_flipped: the attributes that changed most often beside the wanted one, with their shares.
        groups: success apart for groups of faces, where that was asked for.
    """

    attribute: str
    direction: Direction
    path: Path
    success: Share
    collateral: float
    most_flipped: tuple[tuple[str, float], ...] = ()
    groups: tuple[GroupScore, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """Everything measured on one model and one set of faces.

    Attributes:
        dataset, dataset_fingerprint: which faces.
        image_size: side of the model's crops in pixels.
        faces: how many faces were encoded.
        mse: mean squared error of reconstructions, pixels in [0, 1].
        psnr: mean over faces of the peak signal-to-noise ratio in dB.
        y_accuracy: agreement of the encoder's predicted y with the labels, by attribute.
        reconstruction_flips: share of the evaluator's predictions that differ between real faces and their
            reconstructions, by attribute.
        evaluator_accuracy: how accurate the evaluator is on these attributes, on held-out real faces.
        strength: how far y was moved, 1 = to the very value asked for.
        edits: one score an attribute, direction and path.
    """

    dataset: str
    dataset_fingerprint: str
    image_size: int
    faces: int
    mse: float
    psnr: float
    y_accuracy: dict[str, float]
    reconstruction_flips: dict[str, float]
    evaluator_accuracy: dict[str, float]
    strength: float
    edits: tuple[EditScore, ...]

    def edit(self, attribute: str, direction: Direction, path: Path) -> EditScore:
        """The score of one edit.

        Raises:
            KeyError: it was not measured.
        """
        for score in self.edits:
            if (score.attribute, score.direction, score.path) == (attribute, direction, path):
                return score
        raise KeyError(f"{attribute} {direction} {path} was not measured")

    def to_json(self) -> str:
        """All figures; each edit with its rate and 95 % interval. What could not be measured is null."""
        values = asdict(self)
        values["edits"] = [
            {
                **asdict(score),
                "rate": score.success.rate,
                "interval": score.success.interval,
            }
            for score in self.edits
        ]
        return json.dumps(without_nan(values), indent=1)

    def to_markdown(self) -> str:
        """The figures as Markdown: a line on reconstruction, then a table of edits.

        A cell of the table reads: success, 95 % interval, and after the slash the collateral flips. Where
        groups were asked for, a table of success by group follows, for the last path.
        """
        paths = list(dict.fromkeys(score.path for score in self.edits))
        lines = [
            f"{self.faces} faces of {self.dataset} at {self.image_size} px: "
            f"reconstruction MSE {self.mse:.4f}, PSNR {self.psnr:.1f} dB.",
            "",
            "| attribute | edit | n | " + " | ".join(paths) + " | evaluator's accuracy |",
            "|---|---|---|" + "---|" * (len(paths) + 1),
        ]
        for attribute, direction in dict.fromkeys((s.attribute, s.direction) for s in self.edits):
            scores = [self.edit(attribute, direction, path) for path in paths]
            accuracy = self.evaluator_accuracy.get(attribute, math.nan)
            cells = " | ".join(_cell(score) for score in scores)
            lines.append(
                f"| {attribute} | {direction} | {scores[0].success.n} | {cells} | {100 * accuracy:.1f}% |"
            )
        lines += [
            "",
            "Cells: success [95 % interval] / flips of other attributes against the unedited picture.",
        ]
        return "\n".join([*lines, *_by_group([s for s in self.edits if s.path == paths[-1]])]) + "\n"


def _by_group(scores: list[EditScore]) -> list[str]:
    """The lines of a table: an edit a row, a group a column."""
    if not scores or not scores[0].groups:
        return []
    names = [name for score in scores[0].groups for name in (score.group, f"not {score.group}")]
    lines = [
        "",
        f"Success by group ({scores[0].path}), 95 % interval and number of faces:",
        "",
        "| attribute | edit | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for score in scores:
        shares = [share for group in score.groups for share in (group.present, group.absent)]
        lines.append(f"| {score.attribute} | {score.direction} | " + " | ".join(map(str, shares)) + " |")
    return lines


def _cell(score: EditScore) -> str:
    if not score.success.n:
        return "no face"
    low, high = score.success.interval
    return (
        f"{100 * score.success.rate:.1f}% [{100 * low:.1f}, {100 * high:.1f}] / {100 * score.collateral:.1f}%"
    )
