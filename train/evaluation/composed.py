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
from aif.train.evaluation.counting import AttributeEvaluator, Edit, EditOptions, count_edits
from aif.train.evaluation.report import Measurement, View
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

    def open_batch(batch: Batch) -> tuple[Mapping[View, Tensor | None], Edit]:
        bgr = np.ascontiguousarray(batch.images.numpy()[:, ::-1].transpose(0, 2, 3, 1))

        def edit(rows: npt.NDArray[np.intp], attribute: str, value: float) -> Mapping[View, Tensor]:
            shown = edited_crops(composer, bgr[rows], [{attribute: value}] * len(rows))
            rgb = np.ascontiguousarray(shown[..., ::-1].transpose(0, 3, 1, 2))
            return {"composed": torch.from_numpy(rgb).float() / 255}

        return {"composed": None}, edit

    return count_edits(open_batch, composer.attributes, dataset, evaluator, options, indices, identity)


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
