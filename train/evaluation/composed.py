"""Measure edits as the user sees them: composed into the photo, whatever a bundle does to get there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aif.runtime.arrays import UInt8Array
from aif.runtime.editing.crops import EditedCrops
from aif.runtime.errors import DataError
from aif.train.data.base import FaceDataset
from aif.train.data.batch import Batch
from aif.train.evaluation.counting import AttributeEvaluator, EditOptions, count_edits
from aif.train.evaluation.measure_report import Measurement, View
from aif.train.evaluators.identity import IdentityNetwork


class Composer(Protocol):
    """What is measured; `aif.runtime.Editor` is one as it stands."""

    @property
    def attributes(self) -> Sequence[str]: ...
    def edit_crops(
        self, crops_nhwc_bgr: UInt8Array, edits: Sequence[Mapping[str, float]], /
    ) -> EditedCrops: ...


def measure_composed(
    composer: Composer,
    dataset: FaceDataset,
    evaluator: AttributeEvaluator,
    options: EditOptions | None = None,
    *,
    indices: Sequence[int] | None = None,
    identity: IdentityNetwork | None = None,
) -> Measurement:
    """Switch each attribute to its other value, and let the evaluator look at the composed crops.

    Arguments and errors as those of `count_edits`; and a DataError where edited crops are of another size or
    kind than those that came in.
    """
    options = options or EditOptions()

    def opened(batch: Batch) -> _Crops:
        return _Crops(composer, batch)

    counted = count_edits(
        opened, composer.attributes, dataset, evaluator, options, indices=indices, identity=identity
    )
    return Measurement(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        faces=counted.faces,
        evaluator_accuracy=evaluator.accuracy,
        along={name: tuple(others) for name, others in options.along.items()},
        edits=counted.edits,
    )


def edited_crops(
    composer: Composer, crops_nhwc_bgr: UInt8Array, edits: Sequence[Mapping[str, float]]
) -> UInt8Array:
    """What `edit_crops` gives; a DataError unless it is as many uint8 pictures of one size as came in."""
    shown = np.asarray(composer.edit_crops(crops_nhwc_bgr, edits).images_nhwc_bgr)
    if shown.dtype != np.uint8 or shown.shape != crops_nhwc_bgr.shape:
        raise DataError(
            f"Editing uint8 {crops_nhwc_bgr.shape} crops gave {shown.dtype} {shown.shape}, so the two cannot "
            "be compared."
        )
    return shown


class _Crops:
    """One batch; without an edit the photo stays as it is."""

    unedited: Mapping[View, Tensor | None] = {"composed": None}

    def __init__(self, composer: Composer, batch: Batch) -> None:
        self._composer = composer
        self._bgr = np.ascontiguousarray(batch.images.numpy()[:, ::-1].transpose(0, 2, 3, 1))

    def edited(self, rows: npt.NDArray[np.intp], attribute: str, value: float) -> Mapping[View, Tensor]:
        shown = edited_crops(self._composer, self._bgr[rows], [{attribute: value}] * len(rows))
        rgb = np.ascontiguousarray(shown[..., ::-1].transpose(0, 3, 1, 2))
        return {"composed": torch.from_numpy(rgb).float() / 255}
