"""Face crops for gates and calibration: from any data that aif trains on, or any folder of aligned crops."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.export.graphs.faces import FaceReader
from aif.runtime.bundle.manifest import FaceSet
from aif.runtime.errors import DataError, ExportError
from aif.runtime.model.codes import FaceInputs
from aif.train.data.base import CorruptImageError, FaceDataset, decode_rgb
from aif.train.data.open import find_layout, open_faces
from aif.train.data.synthetic import SyntheticFaces

MOST, LEAST = 128, 16
"""Faces of a gate, and of a calibration."""

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


def check_real(faces: FaceDataset, trained_on: str) -> None:
    """Raise ExportError for faces that nobody named, where they are synthetic and the model is not."""
    if isinstance(faces, SyntheticFaces) and trained_on != faces.name:
        raise ExportError(
            f"FP16, INT8 and engines are checked, and INT8 is calibrated, on real faces; the model was "
            f"trained on {trained_on}, and where those faces are is not known.",
            "Name faces: --data FOLDER (aligned crops, labels are not needed). For a trial with synthetic "
            "faces, which the manifest will then say: --data synthetic",
        )


@dataclass(frozen=True)
class CropSets:
    """Two sets of faces of a dataset that share none."""

    gate: FaceInputs
    calibration: FaceInputs
    dataset: FaceDataset

    def about(self, some: FaceInputs) -> FaceSet:
        """What a manifest says of one of them."""
        return FaceSet(
            dataset=self.dataset.name,
            dataset_fingerprint=self.dataset.fingerprint,
            faces=len(some),
            synthetic=isinstance(self.dataset, SyntheticFaces),
        )


def split_crops(dataset: FaceDataset, reader: FaceReader) -> CropSets:
    """Up to 128 faces for each of gate and calibration, in turns, spread evenly over the dataset.

    Raises:
        ExportError: there are fewer than 16 for each.
        DataError: images cannot be read.
    """
    indices = _spread(
        dataset, 2, f"FP16 and INT8 need {LEAST} faces to calibrate with and {LEAST} for the gate"
    )
    gate, calibration = (_read(dataset, indices[k::2], reader) for k in (0, 1))
    return CropSets(gate, calibration, dataset)


def spread_crops(dataset: FaceDataset, reader: FaceReader) -> FaceInputs:
    """Up to 128 faces, spread evenly over the dataset; errors as `split_crops`."""
    return _read(dataset, _spread(dataset, 1, "Engines are checked on faces"), reader)


def first_crops(dataset: FaceDataset, reader: FaceReader) -> FaceInputs:
    """The first 16 faces; with a frame, of the first 32, of which a few may have no landmarks.

    Raises:
        DataError: images cannot be read.
    """
    count = LEAST if reader.frame is None else 2 * LEAST
    return reader.read(dataset, range(min(count, len(dataset)))).rows(slice(LEAST))


def _spread(dataset: FaceDataset, sets: int, why: str) -> Sequence[int]:
    """Indices for so many sets of 16 to 128 faces."""
    if len(dataset) < sets * LEAST:
        raise ExportError(
            f"{why}: at least {sets * LEAST} faces; {dataset.name} has {len(dataset)}.",
            "Name more: --data FOLDER",
        )
    count = sets * min(len(dataset) // sets, MOST)
    found: list[int] = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    return found


def _read(dataset: FaceDataset, indices: Sequence[int], reader: FaceReader) -> FaceInputs:
    found = reader.read(dataset, indices)
    if reader.frame is not None and len(found) < LEAST:
        raise ExportError(
            f"Landmarks were found in {len(found)} of the chosen faces of {dataset.name}; "
            f"at least {LEAST} are needed.",
            "Name photographs of faces, aligned: --data FOLDER (aif prepare makes them from photos).",
        )
    return found
