"""What a measurement of composed edits found: frozen results, as JSON and as tables for people."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from aif.train.evaluators.identity import IdentityScore
from aif.train.evaluators.quality import Mean
from aif.train.statistics import Share, without_nan


@dataclass(frozen=True)
class GroupShare:
    """Success of one edit among the faces of one group: "Male", "not Male", "skin dark", ..."""

    group: str
    success: Share


@dataclass(frozen=True)
class ComposedSide:
    """One attribute in one direction.

    Attributes:
        success: faces on which the evaluator sees the new value; n counts those on which label and
            prediction on the untouched crop both said the opposite.
        flips: share of the evaluator's predictions of other attributes that differ between the edited and the
            untouched crop, in [0, 1]; without attributes taken along by design. NaN where no face was edited.
        most_flipped: the attributes that changed most often beside the edited one, with their shares.
        detail: fine detail of the inner face, 1 = as much as in the photo (`quality.detail_kept`).
        groups: success apart for groups of faces.
    """

    success: Share
    flips: float
    most_flipped: tuple[tuple[str, float], ...]
    detail: Mean
    groups: tuple[GroupShare, ...]


@dataclass(frozen=True)
class ComposedScore:
    """One attribute, switched to its other value and composed into the photo.

    Attributes:
        attribute: what was edited.
        along: attributes that the edit takes along by design, not counted as flips.
        evaluator_accuracy: what the evaluator is worth on this attribute, on untouched held-out faces, in
            [0, 1]; NaN where it does not say.
        on, off: from absent to present, and from present to absent.
        identity: how much of the person is left, both directions together; None without an identity network
            or without an edited face.
    """

    attribute: str
    along: tuple[str, ...]
    evaluator_accuracy: float
    on: ComposedSide
    off: ComposedSide
    identity: IdentityScore | None


@dataclass(frozen=True)
class ComposedMeasurement:
    """All attributes on one set of faces.

    Attributes:
        dataset, dataset_fingerprint: which faces.
        faces: how many were looked at.
        strength: to which value an attribute was switched on; off is 1 - strength.
        edits: one score an attribute.
    """

    dataset: str
    dataset_fingerprint: str
    faces: int
    strength: float
    edits: tuple[ComposedScore, ...]

    def score(self, attribute: str) -> ComposedScore:
        """The score of one attribute.

        Raises:
            KeyError: it was not measured.
        """
        for score in self.edits:
            if score.attribute == attribute:
                return score
        raise KeyError(f"{attribute} was not measured")

    def summary(self) -> dict[str, float]:
        """The few figures that a manifest carries: name to number."""
        figures = {}
        for score in self.edits:
            for direction, side in (("on", score.on), ("off", score.off)):
                if side.success.n:
                    figures[f"{score.attribute}.{direction}.composed"] = round(side.success.rate, 4)
                    figures[f"{score.attribute}.{direction}.flips"] = round(side.flips, 4)
                if side.detail.n:
                    figures[f"{score.attribute}.{direction}.detail"] = round(side.detail.mean, 4)
            if score.identity is not None:
                figures[f"{score.attribute}.identity_kept"] = round(score.identity.kept, 4)
        return figures

    def to_json(self) -> str:
        """All figures; each share with its rate and 95 % interval. What could not be measured is null."""
        values = asdict(self)
        for row, score in zip(values["edits"], self.edits, strict=True):
            for key, side in (("on", score.on), ("off", score.off)):
                row[key]["success"] = _share(side.success)
                row[key]["groups"] = {group.group: _share(group.success) for group in side.groups}
            if score.identity is not None:
                row["identity"]["kept"] = score.identity.kept
        return json.dumps(without_nan(values), indent=1) + "\n"

    def to_markdown(self) -> str:
        """Two tables: all figures, and success by group."""
        lines = [
            f"{self.faces} faces of {self.dataset}, edits composed into the photo, strength "
            f"{self.strength:g}.",
            "",
            "| attribute | edit | n | success | other attributes flipped | most often | detail kept "
            "| person kept | evaluator's accuracy |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for score in self.edits:
            person = "-" if score.identity is None else f"{score.identity.kept:.2f}"
            worth = "-" if math.isnan(score.evaluator_accuracy) else f"{100 * score.evaluator_accuracy:.1f}%"
            for direction, side in (("on", score.on), ("off", score.off)):
                cells = [score.attribute, direction, str(side.success.n), *_cells(side), person, worth]
                lines.append(f"| {' | '.join(cells)} |")
        lines += ["", "Success with its 95 % interval; detail and person: 1 = as in the photo."]
        taken = [f"{score.attribute} ({', '.join(score.along)})" for score in self.edits if score.along]
        if taken:
            lines.append(f"Taken along by design, not counted as flipped: {'; '.join(taken)}.")
        return "\n".join([*lines, *self._by_group()]) + "\n"

    def _by_group(self) -> list[str]:
        if not self.edits or not self.edits[0].on.groups:
            return []
        names = [group.group for group in self.edits[0].on.groups]
        lines = [
            "",
            "Success by group, 95 % interval and number of faces (skin: median lightness of the inner face, "
            "which is lighting too):",
            "",
            "| attribute | edit | " + " | ".join(names) + " |",
            "|---|---|" + "---|" * len(names),
        ]
        for score in self.edits:
            for direction, side in (("on", score.on), ("off", score.off)):
                shares = " | ".join(str(group.success) for group in side.groups)
                lines.append(f"| {score.attribute} | {direction} | {shares} |")
        return lines


def _cells(side: ComposedSide) -> list[str]:
    if not side.success.n:
        return ["no face", "-", "-", "-"]
    low, high = side.success.interval
    return [
        f"{100 * side.success.rate:.1f}% [{100 * low:.1f}, {100 * high:.1f}]",
        "-" if math.isnan(side.flips) else f"{100 * side.flips:.1f}%",
        ", ".join(f"{name} {100 * share:.0f}%" for name, share in side.most_flipped) or "-",
        f"{side.detail.mean:.2f}" if side.detail.n else "-",
    ]


def _share(share: Share) -> dict[str, Any]:
    return {**asdict(share), "rate": share.rate, "interval": share.interval}
