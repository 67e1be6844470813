"""Heading, unit and meaning of every measure, by the pattern of its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Better = Literal["high", "low"]


@dataclass(frozen=True)
class Column:
    """One measure: its key, its heading, what it means, and how it is written."""

    key: str
    label: str
    definition: str
    percent: bool = False
    """Whether values are shares, to be written in per cent."""
    digits: int = 1
    """Digits after the point."""
    better: Better | None = None
    """Which way is better; None where neither is."""

    def write(self, value: float, unit: bool = True) -> str:
        """The value as text, "98.6%" or "1,234.5"; without the per cent sign where `unit` is false.

        Halves are rounded away from zero, as in print: 13 of 16 are 81.3%.
        """
        exact = value * (100 if self.percent else 1) * (1 + 1e-12)
        rounded = round(exact, self.digits) + 0.0  # no minus before a zero
        return f"{rounded:,.{self.digits}f}" + ("%" if self.percent and unit else "")


WORDS = {
    "decoded": "on the decoded face",
    "delta": "after delta compositing into the photo's crop",
    "replace": "after replace compositing into the photo's crop",
    "mean": "posterior means",
    "sample": "samples of the posterior",
    "linear": "a fresh logistic regression",
    "mlp": "a fresh MLP with two hidden layers",
    "edit": "the edited face",
    "nothing": "the unedited original",
    "floor": "the reconstruction of the true picture",
    "inside": "where the truth differs from the original",
    "outside": "everywhere else",
    "on": "present",
    "off": "absent",
}
"""What parts of a name mean in a definition."""

PATH, WAY, CODE = r"(?P<path>decoded|delta|replace)", r"(?P<way>on|off)", r"(?P<code>mean|sample)"
PROBE = rf"(?P<kind>linear|mlp)\.{CODE}\.(?P<name>\w+)"
SHARE: tuple[bool, int] = (True, 1)
COLUMNS: tuple[tuple[str, str, str, tuple[bool, int], Better | None], ...] = (
    ("mse", "MSE", "Mean squared error of reconstructions, pixels in [0, 1].", (False, 4), "low"),
    ("psnr", "PSNR", "Peak signal-to-noise ratio of reconstructions in dB.", (False, 1), "high"),
    ("ssim", "SSIM", "Structural similarity of reconstructions; 1 = equal.", (False, 3), "high"),
    (r"reconstruction\.flips", "flips by reconstruction",
     "Share of predictions, over attributes that are not edited, that reconstruction alone changes.",
     SHARE, "low"),
    (r"frechet\.reconstruction", "Frechet, reconstructions",
     "Frechet distance from real faces on the evaluator's features (ResNet-18, not Inception).",
     (False, 1), "low"),
    (r"frechet\.sample", "Frechet, samples",
     "The same of faces decoded from samples of the prior, with the attributes of real faces.",
     (False, 1), "low"),
    (rf"paper\.{WAY}", "y {way}, paper's count",
     "The paper's protocol: of the first 100 test images those with the attribute, decoded with it {way}; "
     "share on which the evaluator agrees.", SHARE, "high"),
    (r"y\.(?P<name>\w+)", "E_y: {name}", "Accuracy of the encoder's own y.", SHARE, "high"),
    (rf"probe\.{PROBE}", "probe: {name}, {kind} on {code}",
     "Held-out accuracy of {kind} trained on {code}.", SHARE, None),
    (rf"balanced\.{PROBE}", "balanced: {name}, {kind} on {code}",
     "Mean over both labels of the held-out accuracy of {kind} trained on {code}; one half is chance.",
     SHARE, None),
    (rf"bits\.{PROBE}", "bits: {name}, {kind} on {code}",
     "Lower bound of I(z; y): entropy of the label less the cross-entropy of {kind} on {code}.",
     (False, 3), None),
    (r"majority\.(?P<name>\w+)", "majority: {name}", "Accuracy of always naming the commoner value.",
     SHARE, None),
    (rf"truth\.{WAY}\.(?P<what>edit|nothing|floor)\.(?P<where>inside|outside)", "{way}, {what}, {where}",
     "Mean absolute error of {what} against the face made with the attribute {way}, {where}.",
     (False, 4), "low"),
    (rf"(?P<name>\w+)\.{WAY}\.{PATH}", "{name} {way}, {path}",
     "Of the faces that label and evaluator put on the other side, the share where the evaluator sees the "
     "attribute {way} after the edit, {path}.", SHARE, "high"),
    (rf"(?P<name>\w+)\.{WAY}\.{PATH}\.collateral", "flips by {name} {way}, {path}",
     "Share of the evaluator's predictions of all other attributes that the edit changes, {path}.",
     SHARE, "low"),
    (rf"(?P<name>\w+)\.{WAY}\.{PATH}\.kept", "person kept, {name} {way}, {path}",
     "Identity kept by the edit {path}: 0 = another person, 1 = the same picture.", (False, 3), "high"),
    (rf"(?P<name>\w+)\.{WAY}\.{PATH}\.detail", "detail kept, {name} {way}, {path}",
     "Fine detail of the inner face {path}, as a share of the photo's.", (False, 2), None),
)  # fmt: skip
"""Pattern of the names, heading, definition, (is a share, digits), which way is better."""


def column(key: str) -> Column:
    """What the measure `key` is.

    Raises:
        KeyError: there is no such measure.
    """
    for pattern, label, definition, (percent, digits), better in COLUMNS:
        if found := re.fullmatch(pattern, key):
            parts = found.groupdict()
            words = {part: WORDS.get(value, value) for part, value in parts.items()}
            text = definition.format(**words)
            return Column(key, label.format(**parts), text, percent, digits, better)
    raise KeyError(f"there is no measure {key!r}")
