"""Many aligned face crops at once: no detection, no alignment, the networks run in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aif.runtime.align import Float32Array, UInt8Array, face_crops
from aif.runtime.attribute_values import decode_values, value_columns
from aif.runtime.compose import FacePatch, composite
from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.exposure import decode_both, encode_levelled
from aif.runtime.manifest import Mode
from aif.runtime.model import MAX_BATCH, FaceModel


@dataclass(frozen=True)
class EditedCrops:
    """N edited crops.

    Attributes:
        images_nhwc_bgr: uint8 (N, S, S, 3), of the size that came in.
        y_source: float32 (N, A), the attribute values as predicted.
        y_target: float32 (N, A), the attribute values as handed to the decoder.
    """

    images_nhwc_bgr: UInt8Array
    y_source: Float32Array
    y_target: Float32Array


def edit_crops(
    model: FaceModel,
    crops_nhwc_bgr: UInt8Array,
    edits: Mapping[str, float] | Sequence[Mapping[str, float]],
    mode: Mode | None = None,
) -> EditedCrops:
    """Edit face crops that are aligned already; see `Editor.edit_crops`.

    The memory beside input and result does not grow with N: `MAX_BATCH` crops are in work at a time.
    """
    crops = np.asarray(crops_nhwc_bgr)
    check_crops(crops)
    manifest, count = model.manifest, len(crops)
    if isinstance(edits, Mapping):
        columns = [value_columns(edits, manifest.attributes)] * count
    else:
        columns = [value_columns(each, manifest.attributes) for each in edits]
    if len(columns) != count:
        raise ConfigError(
            f"There are {count} crops, and edits for {len(columns)}.",
            "Give one mapping for all crops, or one for each.",
        )
    blend: Mode = mode or manifest.compositing
    composite(np.zeros((1, 1, 3), np.uint8), [], blend)  # an unknown mode is told before any work
    images = np.empty_like(crops)
    y_source = np.empty((count, len(manifest.attributes)), dtype=np.float32)
    y_target = np.empty_like(y_source)
    for start in range(0, count, MAX_BATCH):
        part = slice(start, start + MAX_BATCH)
        images[part], y_source[part], y_target[part] = _edited(model, crops[part], columns[part], blend)
    return EditedCrops(images, y_source, y_target)


def _edited(
    model: FaceModel, crops: UInt8Array, columns: Sequence[Mapping[int, float]], mode: Mode
) -> tuple[list[UInt8Array], Float32Array, Float32Array]:
    """One batch: the edited crops, y as predicted, and y as handed to the decoder."""
    size, policy = model.image_size, model.manifest.source_values
    # The template scales linearly with the crop's side.
    matrix = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32) * np.float32(size / crops.shape[1])
    small = np.concatenate([face_crops(crop, [matrix], size) for crop in crops])
    encoding, exposure = encode_levelled(model, small)
    values = [decode_values(y[None], each, policy) for y, each in zip(encoding.y, columns, strict=True)]
    source, target = (np.concatenate(rows) for rows in zip(*values, strict=True))
    pictures = decode_both(model, encoding, exposure, source, target)
    edited = [[model.attributes[column] for column in each] for each in columns]
    patches = [FacePatch(matrix, *each) for each in zip(small, *pictures, edited, strict=True)]
    images = [composite(crop, [patch], mode) for crop, patch in zip(crops, patches, strict=True)]
    return images, encoding.y, target


def check_crops(crops: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    """Raise ImageError unless `crops` is a uint8 (N, S, S, 3) array of squares; N may be 0."""
    square = crops.ndim == 4 and crops.shape[1] == crops.shape[2] > 0 and crops.shape[3] == 3
    if crops.dtype != np.uint8 or not square:
        raise ImageError(
            f"Crops must be uint8 (number, side, side, 3) in BGR order, not {crops.dtype} {crops.shape}.",
            "Cut them with crop_face of aif.runtime.align, and stack them with numpy.stack.",
        )
