"""What blur, noise, darkness, JPEG or a turned crop cost an edit: success and detail on spoilt faces.

Crops are spoilt before anything looks at them, so that landmarks, encoder and composition all work on the
spoilt picture. Detail is compared with the spoilt picture, and success is counted on faces in which the
evaluator still sees what the label says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor
from torchvision.transforms.functional import InterpolationMode, rotate

from aif.runtime.arrays import UInt8Array
from aif.train.data import faults
from aif.train.data.base import FaceDataset
from aif.train.evaluation.composed import Composer, measure_composed
from aif.train.evaluation.counting import AttributeEvaluator, EditOptions
from aif.train.evaluation.report import Measurement, markdown_table

Change = Callable[[UInt8Array, np.random.Generator], UInt8Array]
"""A face crop, uint8 (S, S, 3) RGB, to the spoilt one."""


@dataclass(frozen=True)
class Disturbance:
    """`change` spoils a crop; `degrees`: by how much it turns it, which the evaluator's view takes back."""

    change: Change
    degrees: float = 0.0


def _turn(degrees: float) -> Disturbance:
    def change(image: UInt8Array, _: np.random.Generator) -> UInt8Array:
        side = image.shape[0]
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1)
        turned = cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(turned, dtype=np.uint8)

    return Disturbance(change, degrees)


def _dark(image: UInt8Array, rng: np.random.Generator, light: float) -> UInt8Array:
    """So much of the light (sRGB values scaled), and a dark picture's noise."""
    return faults.noise(np.rint(image * light).astype(np.uint8), 4, rng)


DISTURBANCES: Mapping[str, Disturbance] = {
    "as it is": Disturbance(lambda image, _: image),
    "blur, 1 px": Disturbance(lambda image, _: faults.blur(image, 1)),
    "blur, 2 px": Disturbance(lambda image, _: faults.blur(image, 2)),
    "a third of the resolution": Disturbance(lambda image, _: faults.low_resolution(image, 1 / 3)),
    "noise, 15 levels": Disturbance(lambda image, rng: faults.noise(image, 15, rng)),
    "noise, 30 levels": Disturbance(lambda image, rng: faults.noise(image, 30, rng)),
    "30% of the light": Disturbance(lambda image, rng: _dark(image, rng, 0.3)),
    "10% of the light": Disturbance(lambda image, rng: _dark(image, rng, 0.1)),
    "JPEG 30": Disturbance(lambda image, _: faults.jpeg(image, 30)),
    "JPEG 10": Disturbance(lambda image, _: faults.jpeg(image, 10)),
    "without colour": Disturbance(lambda image, _: faults.grey(image)),
    "turned by 15 degrees": _turn(15),
    "turned by 30 degrees": _turn(30),
}
"""The rows of the table; pixels are those of the dataset's crops, levels of 255."""


class Spoilt(FaceDataset):
    """Faces after a disturbance; face number i is spoilt in the same way each time."""

    def __init__(self, faces: FaceDataset, disturbance: Disturbance) -> None:
        self._faces, self._change = faces, disturbance.change
        self.name, self.fingerprint = faces.name, faces.fingerprint
        self.attributes, self.labels, self.identities = faces.attributes, faces.labels, faces.identities

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        return self._change(self._faces.image(index), np.random.default_rng(index))

    def file_name(self, index: int) -> str:
        return self._faces.file_name(index)


class _Upright:
    """An evaluator that sees crops turned back."""

    def __init__(self, evaluator: AttributeEvaluator, degrees: float) -> None:
        self.attributes, self.right = evaluator.attributes, evaluator.right
        self._evaluator, self._degrees = evaluator, degrees

    def predict(self, crops_nchw: Tensor, /) -> Tensor:
        if self._degrees:
            crops_nchw = rotate(crops_nchw, -self._degrees, InterpolationMode.BILINEAR)
        return self._evaluator.predict(crops_nchw)


def measure_robustness(
    composer: Composer,
    dataset: FaceDataset,
    evaluator: AttributeEvaluator,
    options: EditOptions,
    indices: Sequence[int] | None = None,
    *,
    disturbances: Mapping[str, Disturbance] = DISTURBANCES,
    log: Callable[[str], None] = print,
) -> dict[str, Measurement]:
    """`measure_composed` under each disturbance, by its name; arguments and errors as there."""
    found = {}
    for name, each in disturbances.items():
        log(f"faces {name}")
        spoilt, eyes = Spoilt(dataset, each), _Upright(evaluator, each.degrees)
        found[name] = measure_composed(composer, spoilt, eyes, options, indices=indices)
    return found


def to_markdown(found: Mapping[str, Measurement]) -> str:
    """A table, one disturbance and attribute a row."""
    rows = []
    for name, measured in found.items():
        for on, off in zip(measured.edits[::2], measured.edits[1::2], strict=True):
            row = {"attribute": on.attribute, "faces": name}
            for score in (on, off):
                row[score.direction] = str(score.success)
                row[f"detail kept, {score.direction}"] = f"{score.detail.mean:.2f}" if score.detail.n else "-"
            rows.append(row)
    return (
        f"{markdown_table(rows)}\nSuccess with its 95 % interval, on faces in which the evaluator sees what "
        "the label says although they are spoilt; detail: 1 = as in the spoilt crop.\n"
    )
