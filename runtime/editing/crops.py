"""Many aligned face crops at once: no detection, no alignment, the networks run in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.edit_path import EditPath
from aif.runtime.editing.values import decode_values, value_columns, wanted_values
from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.model import MAX_BATCH


@dataclass(frozen=True)
class EditedCrops:
    """N edited crops.

    Attributes:
        images_nhwc_bgr: uint8 (N, S, S, 3), of the size that came in.
        y_source: float32 (N, A), the attribute values as predicted.
        y_target: float32 (N, A), the attribute values as wanted, with what an edit takes along.
    """

    images_nhwc_bgr: UInt8Array
    y_source: Float32Array
    y_target: Float32Array


def edit_crops(
    path: EditPath[Any],
    crops_nhwc_bgr: UInt8Array,
    edits: Mapping[str, float] | Sequence[Mapping[str, float]],
    mode: Mode | None = None,
) -> EditedCrops:
    """Edit face crops that are aligned already; see `Editor.edit_crops`.

    The memory beside input and result does not grow with N: `MAX_BATCH` crops are in work at a time.
    """
    crops = np.asarray(crops_nhwc_bgr)
    check_crops(crops)
    manifest, count = path.model.manifest, len(crops)
    if isinstance(edits, Mapping):
        columns = [value_columns(edits, manifest.attributes)] * count
    else:
        columns = [value_columns(each, manifest.attributes) for each in edits]
    if len(columns) != count:
        raise ConfigError(
            f"There are {count} crops, and edits for {len(columns)}.",
            "Give one mapping for all crops, or one for each.",
        )
    blend = path.mode(mode)
    images = np.empty_like(crops)
    y_source = np.empty((count, len(manifest.attributes)), dtype=np.float32)
    y_target = np.empty_like(y_source)
    for start in range(0, count, MAX_BATCH):
        part = slice(start, start + MAX_BATCH)
        images[part], y_source[part], y_target[part] = _edited(path, crops[part], columns[part], blend)
    return EditedCrops(images, y_source, y_target)


def _edited(
    path: EditPath[Any], crops: UInt8Array, columns: Sequence[Mapping[int, float]], mode: Mode
) -> tuple[list[UInt8Array], Float32Array, Float32Array]:
    """One batch: the edited crops, y as predicted, and y as wanted."""
    manifest = path.model.manifest
    views = path.look_at_crops(crops)
    inputs = FaceInputs.joined([path.cut(crop, [view]) for crop, view in zip(crops, views, strict=True)])
    encoded = path.encode(inputs)
    y, infos = encoded.encoding.y, manifest.attributes
    values = [
        decode_values(row[None], each, infos, manifest.source_values)
        for row, each in zip(y, columns, strict=True)
    ]
    source, target = (np.concatenate(part) for part in zip(*values, strict=True))
    changes = path.change(encoded, source, target)
    images = [
        path.apply(crop, [view], [change], mode)
        for crop, view, change in zip(crops, views, changes, strict=True)
    ]
    wanted = [wanted_values(row[None], each, infos) for row, each in zip(source, columns, strict=True)]
    return images, y, np.concatenate(wanted)


def check_crops(crops: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    """Raise ImageError unless `crops` is a uint8 (N, S, S, 3) array of squares; N may be 0."""
    square = crops.ndim == 4 and crops.shape[1] == crops.shape[2] > 0 and crops.shape[3] == 3
    if crops.dtype != np.uint8 or not square:
        raise ImageError(
            f"Crops must be uint8 (number, side, side, 3) in BGR order, not {crops.dtype} {crops.shape}.",
            "Cut them with crop_face of aif.runtime.geometry.align, and stack them with numpy.stack.",
        )
