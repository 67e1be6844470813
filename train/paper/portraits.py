"""The faces that a report's pictures show."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import DataError
from aif.runtime.geometry.align import crop_face
from aif.runtime.image.io import demo_picture, read_image
from aif.train.data.augment import resize_crop
from aif.train.data.base import FaceDataset
from aif.train.evaluation.measure import unit


def held_out(faces: FaceDataset, count: int, size: int) -> Float32Array:
    """The first `count` faces of a split: float32 (N, 3, size, size) RGB in [0, 1]."""
    crops = [resize_crop(faces.image(index), size) for index in range(min(count, len(faces)))]
    return unit(np.stack(crops).transpose(0, 3, 1, 2))


def found_in(photos: list[Path | str], size: int) -> Float32Array:
    """Every face that the runtime finds in the photos, aligned as in use; "demo" is the astronaut's portrait.

    float32 (N, 3, size, size) RGB in [0, 1].

    Raises:
        AifError: a photo cannot be read.
        DataError: no face is found in any.
    """
    crops = []
    with Editor.load(provider="cpu") as editor:
        for photo in photos:
            picture = demo_picture() if str(photo) == "demo" else read_image(Path(photo))
            rgb = np.ascontiguousarray(picture.pixels_hwc_bgr[:, :, ::-1])
            crops += [crop_face(rgb, face.landmarks, size) for face in editor.detect(picture.pixels_hwc_bgr)]
    if not crops:
        raise DataError(f"No face was found in {', '.join(map(str, photos))}.", "Name other --portraits.")
    return unit(np.stack(crops).transpose(0, 3, 1, 2))
