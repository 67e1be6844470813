"""`aif prepare`: photos and their labels in, packed faces aligned to the template out."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.errors import ConfigError, DataError, ImageError
from aif.runtime.faces.detect import Detection, Detector
from aif.runtime.geometry.align import similarity_transform, transform_points, warp_crop
from aif.runtime.image.io import read_bytes, read_image
from aif.runtime.image.kinds import SUFFIXES
from aif.runtime.machine import core_count
from aif.train.data.base import CorruptImageError
from aif.train.data.celeba import CelebAImages, find_celeba, read_celeba_table
from aif.train.data.packed import check_target, packed_writer
from aif.train.data.tables import LabelTable, hash_split, only_table, read_csv_table

log = logging.getLogger(__name__)

ReadPhoto = Callable[[str], bytes]
REASONS = NO_FACE, SMALL, UNREADABLE, MISSING = (
    "without a face", "with only small faces", "unreadable", "missing",
)  # fmt: skip


@dataclass(frozen=True)
class PrepareOptions:
    """How faces are cut and packed. Raises ConfigError where a number is out of range."""

    attributes: Sequence[str] | None = None
    """Which label columns to keep, in this order; None for all."""
    size: int = 128
    """Side of the face crops in pixels."""
    min_face: float = 32.0
    """Smaller faces (the shorter side of the detector's box, in pixels) are left out."""
    shard_faces: int = 12_000
    """About how many faces a zip file holds."""
    quality: int = 92
    """Of the WebP images, 1 to 100."""
    overwrite: bool = False
    """Replace packed faces that are there already."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("size", 16, 1024), ("shard_faces", 1, math.inf), ("quality", 1, 100), ("min_face", 0, math.inf),
        ):  # fmt: skip
            if not least <= getattr(self, name) <= most:
                raise ConfigError(
                    f"{name} = {getattr(self, name)} is out of range.", f"Use {least} to {most}."
                )


@dataclass(frozen=True)
class PrepareReport:
    """What became of the photos: how many were listed, faces written by split, label columns of the result,
    and names of the photos left out, by the reason: a key of `REASONS`.
    """

    photos: int
    faces: dict[str, int]
    attributes: tuple[str, ...]
    left_out: dict[str, list[str]]


def prepare(
    source: Path,
    table: Path | None,
    out: Path,
    detector: Detector,
    options: PrepareOptions | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> PrepareReport:
    """Find, align and pack the faces of a folder of photos, or of CelebA's official layout.

    Labelled photos (a CSV as `read_csv_table` reads it, or CelebA's lists) give their largest face, to which
    the labels are taken to belong. Without labels every face is packed. The result appears under `out` when
    all of it is written; an interruption leaves nothing there.

    Args:
        table: the labels; None for the CSV or the CelebA lists in `source`, or no labels if it has none.
        progress: called with (photos done, photos in all).

    Raises DataError where there are no photos, the table is malformed, no photo shows a face, or `out` holds
    the photos, ConfigError where it is taken, UnknownAttributeError where there is no such label column.
    """
    options = options or PrepareOptions()
    check_target(out, options.overwrite)
    if source.resolve().is_relative_to(out.resolve()):
        raise DataError(f"The photos lie in {out} itself.", "Choose another place with --out.")
    labels, read, missing = _open_photos(source, table, options.attributes)
    shards = {s: math.ceil(count / options.shard_faces) for s, count in Counter(labels.splits).items()}
    left_out: dict[str, list[str]] = {reason: [] for reason in REASONS} | {MISSING: missing}
    people = labels.identities
    with packed_writer(
        out,
        labels.attributes,
        shards,
        with_identity=people is not None,
        quality=options.quality,
        overwrite=options.overwrite,
    ) as writer:
        for index, (name, frame) in enumerate(zip(labels.files, _ahead(read, labels.files), strict=True)):
            detections = [] if frame is None else sorted(filter(_usable, detector.detect(frame)), key=_area)
            large = [d for d in detections[::-1] if float(min(d.box_xywh[2:])) >= options.min_face]
            if not large:
                left_out[UNREADABLE if frame is None else SMALL if detections else NO_FACE].append(name)
            for detection in large[:1] if labels.attributes else large:
                assert frame is not None
                matrix = similarity_transform(detection.landmarks, options.size)
                writer.add(
                    name,
                    labels.splits[index],
                    warp_crop(frame, matrix, options.size),
                    landmarks=transform_points(detection.landmarks, matrix),
                    score=detection.score,
                    labels=labels.labels[index].tolist(),
                    identity=None if people is None else int(people[index]),
                )
            if progress is not None:
                progress(index + 1, len(labels.files))
        if not writer.faces:
            raise DataError(
                f"No face was found in any of the {len(labels.files)} photos of {source}.",
                f"{len(left_out[UNREADABLE])} cannot be read, {len(left_out[SMALL])} show only faces below "
                f"{options.min_face:g} px.",
            )
    photos = len(labels.files) + len(missing)
    return PrepareReport(photos, dict(writer.faces), labels.attributes, left_out)


def _open_photos(
    source: Path, table: Path | None, attributes: Sequence[str] | None
) -> tuple[LabelTable, ReadPhoto, list[str]]:
    """The labels of the photos that are there, the way to read one, and the names of those missing."""
    if not source.is_dir():
        raise DataError(f"There is no folder {source}.", "Name the folder that holds the photos.")
    if table is None and find_celeba(source) is not None:
        images = CelebAImages(source)
        labels = read_celeba_table(source, attributes)
        known = [i for i, split in enumerate(labels.splits) if split]
        return _there(labels.rows(known), images.__contains__, images.read)

    def from_folder(name: str) -> bytes:
        return read_bytes(source / name)

    if table is None and any(source.glob("*.csv")):
        table = only_table(source)
    if table is not None:
        return _there(read_csv_table(table, attributes), lambda name: (source / name).is_file(), from_folder)
    if attributes:
        raise DataError(f"There is no label table in {source} to take {', '.join(attributes)} from.")
    suffixes = {suffix.lower() for suffix in SUFFIXES}
    paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    names = tuple(path.relative_to(source).as_posix() for path in paths)
    if not names:
        raise DataError(f"There are no photos in {source}.", f"Looked for {', '.join(sorted(suffixes))}.")
    nothing = np.zeros((len(names), 0), dtype=np.uint8)
    return LabelTable(names, (), nothing, tuple(hash_split(name) for name in names), None), from_folder, []


def _there(
    labels: LabelTable, exists: Callable[[str], bool], read: ReadPhoto
) -> tuple[LabelTable, ReadPhoto, list[str]]:
    present = [i for i, name in enumerate(labels.files) if exists(name)]
    if not present:
        raise DataError(
            f"None of the {len(labels.files)} listed photos is there.", f"The first is {labels.files[0]}."
        )
    missing = sorted(set(range(len(labels.files))) - set(present))
    return labels.rows(present), read, [labels.files[i] for i in missing]


def _ahead(read: ReadPhoto, names: Sequence[str]) -> Iterator[npt.NDArray[np.uint8] | None]:
    """Read the photos in order, a few ahead on other threads; None for those that cannot be read."""

    def one(name: str) -> npt.NDArray[np.uint8] | None:
        try:
            return read_image(read(name), name).pixels_hwc_bgr
        except (ImageError, CorruptImageError) as error:
            log.warning("%s: %s", name, error)
            return None

    threads = min(8, core_count())
    waiting: deque[Future[npt.NDArray[np.uint8] | None]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for name in names:
            waiting.append(pool.submit(one, name))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _usable(detection: Detection) -> bool:
    points = np.asarray(detection.landmarks, dtype=np.float64)
    return bool(np.isfinite(points).all()) and float(np.ptp(points, axis=0).max()) > 1.0


def _area(detection: Detection) -> float:
    return float(detection.box_xywh[2] * detection.box_xywh[3])
