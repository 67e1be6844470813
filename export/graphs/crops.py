"""Face crops for gates and calibration: from any data that aif trains on, or any folder of aligned crops."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.export.graphs.faces import Faces, Finder, model_faces
from aif.runtime.bundle.manifest import FaceSet
from aif.runtime.errors import DataError, ExportError
from aif.runtime.geometry.frame import Frame
from aif.train.data.base import CorruptImageError, FaceDataset, decode_rgb
from aif.train.data.open import find_layout, open_faces
from aif.train.data.readable import readable_crops
from aif.train.data.synthetic import SyntheticFaces

MOST_GATE, MOST_CALIBRATION, LEAST = 128, 128, 16
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class UnlabelledFaces(FaceDataset):
    """Every image of a folder and its sub-folders, in order of names; y has no columns.

    Raises:
        DataError: there is no image, or one of them is not square (see `image`).
    """

    def __init__(self, root: Path) -> None:
        self.name = root.resolve().name
        self._root = root
        self._files = sorted(
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        if not self._files:
            raise DataError(
                f"{root} holds no faces: neither data that aif trains on, nor any image.",
                "Give a folder of aligned face crops; aif prepare makes them from photos.",
            )
        self.attributes = ()
        self.labels = np.zeros((len(self._files), 0), dtype=np.uint8)
        self.fingerprint = hashlib.sha256("\n".join(self._files).encode()).hexdigest()

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        name = self._files[index]
        try:
            data = (self._root / name).read_bytes()
        except OSError as error:
            raise CorruptImageError(f"{name} ({error.strerror or error})") from error
        pixels = decode_rgb(data, name)
        if pixels.shape[0] != pixels.shape[1]:
            raise DataError(
                f"{self._root / name} is {pixels.shape[1]} x {pixels.shape[0]}; a face crop is square.",
                "Align the photos first: aif prepare",
            )
        return pixels

    def file_name(self, index: int) -> str:
        return self._files[index]


def open_crops(
    place: Path | None, attributes: Sequence[str], table: Path | None = None, image_size: int = 64
) -> FaceDataset:
    """The validation faces of `place`, or all images of a folder without labels; synthetic ones for None.

    Raises:
        DataError, UnknownAttributeError: as `open_faces`; there is neither data nor any image.
    """
    if place is not None and table is None and place.is_dir():
        try:
            find_layout(place)
        except DataError:
            return UnlabelledFaces(place)
    return open_faces(place, "val", attributes, table=table, image_size=image_size)


@dataclass(frozen=True)
class CropSets:
    """Two sets of faces that share none, and what they are."""

    gate: Faces
    calibration: Faces
    gate_set: FaceSet
    calibration_set: FaceSet


def split_crops(
    faces: FaceDataset, size: int, frame: Frame | None = None, finder: Finder | None = None
) -> CropSets:
    """Up to 128 faces for each of gate and calibration, in turns, spread evenly over the dataset.

    Args:
        faces: aligned crops.
        size: side of the model's images in pixels.
        frame, finder: as `model_faces`, for models with shape.

    Raises:
        ExportError: there are fewer than 16 for each.
        DataError: images cannot be read.
    """
    each = min(len(faces) // 2, MOST_GATE)
    if each < LEAST:
        raise ExportError(
            f"FP16 and INT8 need at least {2 * LEAST} faces, {LEAST} to calibrate with and {LEAST} others "
            f"for the gate; {faces.name} has {len(faces)}.",
            "Name more: --data FOLDER",
        )
    chosen = np.linspace(0, len(faces) - 1, 2 * each).round().astype(int)
    gate, calibration = (_load(faces, [int(i) for i in chosen[k::2]], size, frame, finder) for k in (0, 1))
    if frame is not None and min(len(gate), len(calibration)) < LEAST:
        raise _without_landmarks(faces, min(len(gate), len(calibration)))

    def about(some: Faces) -> FaceSet:
        return FaceSet(
            dataset=faces.name,
            dataset_fingerprint=faces.fingerprint,
            faces=len(some),
            synthetic=isinstance(faces, SyntheticFaces),
        )

    return CropSets(gate, calibration, about(gate), about(calibration))


def spread_crops(
    faces: FaceDataset, size: int, frame: Frame | None = None, finder: Finder | None = None
) -> Faces:
    """Up to 128 faces, spread evenly over the dataset; arguments as `split_crops`.

    Raises:
        ExportError: there are fewer than 16.
        DataError: images cannot be read.
    """
    if len(faces) < LEAST:
        raise ExportError(
            f"Engines are checked on at least {LEAST} faces; {faces.name} has {len(faces)}.",
            "Name more: --data FOLDER",
        )
    chosen = np.linspace(0, len(faces) - 1, min(len(faces), MOST_GATE)).round().astype(int)
    found = _load(faces, [int(index) for index in chosen], size, frame, finder)
    if frame is not None and len(found) < LEAST:
        raise _without_landmarks(faces, len(found))
    return found


def first_crops(
    faces: FaceDataset, size: int, frame: Frame | None = None, finder: Finder | None = None
) -> Faces:
    """The first 16 faces, of which a few may be left out where landmarks are needed; as `split_crops`.

    Raises:
        DataError: images cannot be read.
    """
    count = LEAST if frame is None else 2 * LEAST
    return _load(faces, list(range(min(count, len(faces)))), size, frame, finder).rows(slice(LEAST))


def _load(
    faces: FaceDataset, indices: list[int], size: int, frame: Frame | None, finder: Finder | None
) -> Faces:
    crops = [crop for _, crop in readable_crops(faces, size, indices)]
    return model_faces(crops, size, frame, finder)


def _without_landmarks(faces: FaceDataset, found: int) -> ExportError:
    return ExportError(
        f"Landmarks were found in {found} of the chosen faces of {faces.name}; at least {LEAST} are needed.",
        "Name photographs of faces, aligned: --data FOLDER (aif prepare makes them from photos).",
    )
