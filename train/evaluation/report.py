"""What a measurement of edits found, and how it is written down: JSON for programs, Markdown for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pydantic_core

from aif.runtime.files import write_text
from aif.train.evaluators.identity_kept import IdentityScore
from aif.train.statistics import Mean, Share

Direction = Literal["on", "off"]
"""From absent to present, or from present to absent."""

DIRECTIONS: tuple[Direction, Direction] = ("on", "off")

Blend = Literal["delta", "replace"]
"""How a decoded crop gets into the photo: its change is added, or it takes the photo's place."""

View = Literal["decoded", "delta", "replace", "composed"]
"""What was looked at: the decoder's own picture, the photo after blending, or a bundle's result."""


@dataclass(frozen=True)
class EditScore:
    """One attribute, one direction, one way to look at the result.

    Attributes:
        success: faces on which the evaluator sees the new value; n counts those on which label and
            prediction on the untouched crop both said the opposite.
        collateral: share of predictions of the other attributes that the edit changes, without those that it
            takes along by design; NaN where no face was edited.
        most_flipped: the attributes that changed most often beside the edited one, with their shares.
        detail: fine detail of the inner face, 1 = as much as in the photo; n = 0 for pictures of another
        size.
        identity: how much of the person is left; None without an identity network or an edited face.
        groups: success apart for groups of faces: "Male", "not Male", "skin dark", ...
    """

    attribute: str
    direction: Direction
    view: View
    success: Share
    collateral: float
    most_flipped: tuple[tuple[str, float], ...]
    detail: Mean
    identity: IdentityScore | None
    groups: Mapping[str, Share]


@dataclass(frozen=True)
class Measurement:
    """Everything measured on one model and one set of faces.

    Attributes:
        evaluator_right: shares of held-out real faces without and with the attribute on which the evaluator
            is right, by attribute.
        along: attribute to those that its edit takes along by design, not counted as collateral.
        edits: one score an attribute, direction and view.
        image_size: side of the model's crops in pixels; this and what follows of models of whole crops only.
        mse, psnr: of reconstructions, pixels in [0, 1]; means over faces.
        y_accuracy: agreement of the encoder's predicted y with the labels, by attribute.
        reconstruction_flips: share of the evaluator's predictions that reconstruction changes, by attribute.
    """

    dataset: str
    dataset_fingerprint: str
    faces: int
    evaluator_right: Mapping[str, tuple[float, float]]
    along: Mapping[str, tuple[str, ...]]
    edits: tuple[EditScore, ...]
    image_size: int | None = None
    mse: float = math.nan
    psnr: float = math.nan
    y_accuracy: Mapping[str, float] = field(default_factory=dict)
    reconstruction_flips: Mapping[str, float] = field(default_factory=dict)

    def edit(self, attribute: str, direction: Direction, view: View = "composed") -> EditScore:
        """The score of one edit. Raises KeyError where it was not measured."""
        for score in self.edits:
            if (score.attribute, score.direction, score.view) == (attribute, direction, view):
                return score
        raise KeyError(f"{attribute} {direction} {view} was not measured")

    def summary(self) -> dict[str, float]:
        """The few figures that a manifest carries: name to number."""
        figures = {} if self.image_size is None else {"reconstruction_mse": self.mse}
        for score in self.edits:
            name = f"{score.attribute}.{score.direction}"
            if score.success.n:
                figures[f"{name}.{score.view}"] = round(score.success.rate, 4)
            if score.view != "composed":
                continue
            if score.success.n:
                figures[f"{name}.flips"] = round(score.collateral, 4)
            if score.detail.n:
                figures[f"{name}.detail"] = round(score.detail.mean, 4)
            if score.identity is not None:
                figures[f"{name}.identity_kept"] = round(score.identity.kept, 4)
        return figures

    def to_markdown(self) -> str:
        """Two tables: all figures, and success by group for the last view."""
        title = f"{self.faces} faces of {self.dataset}"
        if self.image_size is not None:
            title += f", at {self.image_size} px: reconstruction MSE {self.mse:.4f}, PSNR {self.psnr:.1f} dB"
        notes = [
            "Success with its 95 % interval, beside the share of real faces of that value that the evaluator "
            "sees it in; detail and person: 1 = as in the photo."
        ]
        taken = [f"{name} ({', '.join(others)})" for name, others in self.along.items() if others]
        if taken:
            notes.append(f"Taken along by design, not counted as flipped: {'; '.join(taken)}.")
        last = [score for score in self.edits if score.view == self.edits[-1].view]
        groups = [
            {"attribute": s.attribute, "edit": s.direction} | {g: str(share) for g, share in s.groups.items()}
            for s in last
        ]
        by_group = (
            f"Success by group ({last[0].view if last else ''}), 95 % interval and number of faces (skin: "
            "median lightness of the inner face, which is lighting too):"
        )
        table = markdown_table([self._row(score) for score in self.edits])
        return "\n".join([f"{title}.", "", table, *notes, "", by_group, "", markdown_table(groups)])

    def _row(self, score: EditScore) -> dict[str, str]:
        right = self.evaluator_right.get(score.attribute, (math.nan, math.nan))[score.direction == "on"]
        worst = ", ".join(f"{name} {100 * share:.0f}%" for name, share in score.most_flipped)
        return {
            "attribute": score.attribute,
            "edit": score.direction,
            "view": score.view,
            "n": str(score.success.n),
            "success": score.success.percent("none that label and evaluator agree on"),
            "of real faces": "-" if math.isnan(right) else f"{right:.1%}",
            "other attributes flipped": "-" if math.isnan(score.collateral) else f"{score.collateral:.1%}",
            "most often": worst or "-",
            "detail kept": f"{score.detail.mean:.2f}" if score.detail.n else "-",
            "person kept": "-" if score.identity is None else f"{score.identity.kept:.2f}",
        }


def to_json(value: object) -> str:
    """Nested results as JSON text: a share with its rate and 95 % interval, null for what is no number."""
    return pydantic_core.to_json(value, indent=1, inf_nan_mode="null").decode() + "\n"


def markdown_table(rows: Sequence[Mapping[str, object]]) -> str:
    """A table whose heading is the keys of the first row; empty without rows."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(map(str, row.values())) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_report(out: Path, name: str, text: str, value: object, new: bool = False, **figures: float) -> None:
    """Write NAME.md and NAME.json into the folder `out`, and metrics.json where there are `figures`.

    None of them is ever seen half written. `figures` are what `aif export --metrics` takes.

    Raises:
        TakenError: one of them is there, and they were to be `new`.
    """
    write_text(out / f"{name}.md", text, new)
    write_text(out / f"{name}.json", to_json(value), new)
    if figures:
        write_text(out / "metrics.json", to_json(figures), new)
