"""Faces in a frame: by YuNet where its file is at hand, else by Haar cascades and the landmark network."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, get_args

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.faces.landmarks import LandmarkNet, box_from_landmarks, landmark_angle
from aif.runtime.fetch import yunet_path
from aif.runtime.geometry.align import transform_points, warp_crop
from aif.runtime.geometry.points import five_points

DetectorName = Literal["auto", "yunet", "haar"]

# Two boxes that overlap more than this (intersection over union) show one face.
SAME_FACE = 0.35

# YuNet's points follow a tilted head by a quarter of its tilt where the face is smaller than 90 px, in full
# between 140 and 260 px if the tilt is below 20 degrees (docs/decisions/detection.md has the figures).
GOOD_SIDES, LOOKED_SIDE, CUT_SIDE, UPRIGHT = (130, 260), 160, 256, 8.0


@dataclass(frozen=True)
class Detection:
    """One face.

    Attributes:
        box_xywh: float32 (4,) left, top, width, height in frame pixels; may reach beyond the frame.
        landmarks: float32 (5, 2) x, y in frame pixels, in the template's order.
        score: how sure the detector is, 0 to 1.
    """

    box_xywh: Float32Array
    landmarks: Float32Array
    score: float


class Detector(Protocol):
    """Anything that finds faces."""

    def detect(self, frame_hwc_bgr: UInt8Array) -> list[Detection]:
        """Faces in a uint8 (H, W, 3) frame, the surest first; empty where there is none."""
        ...


class YuNetDetector:
    """OpenCV's YuNet network. Calls from several threads take turns.

    It finds faces of about 10 to 300 px, so frames are shrunk to `work_side` and, when nothing is found
    there, to other sizes too. Faces that are small or very large there, or tilted, are looked at again, in a
    good size and upright, for their landmarks' sake.
    """

    def __init__(self, path: str | os.PathLike[str], threshold: float = 0.6, work_side: int = 640) -> None:
        """Load the network.

        Args:
            path: YuNet's ONNX file.
            threshold: lowest score of a face, 0 to 1.
            work_side: longer side in pixels to which a frame is shrunk at first.

        Raises:
            ConfigError: the file is missing or not YuNet.
        """
        self._work_side = work_side
        self._lock = threading.Lock()
        try:
            model = np.frombuffer(Path(path).read_bytes(), dtype=np.uint8)
            # One for frames and one for cut-outs: changing the size of its input costs as much as a look.
            self._frames, self._cuts = (
                cv2.FaceDetectorYN.create(
                    "onnx", model, np.empty(0, dtype=np.uint8), (CUT_SIDE, CUT_SIDE), threshold, 0.3, 5000
                )
                for _ in range(2)
            )
        except (OSError, cv2.error) as error:
            raise ConfigError(
                f"YuNet cannot be loaded from {os.fspath(path)}: {error}",
                "Fetch it with: aif fetch yunet, or choose another detector with --detector haar.",
            ) from error

    def detect(self, frame_hwc_bgr: UInt8Array) -> list[Detection]:
        """Faces in a uint8 (H, W, 3) frame, the surest first; empty where there is none."""
        check_frame(frame_hwc_bgr)
        longer = max(frame_hwc_bgr.shape[:2])
        tried = set()
        for side in (1.0, 0.5, 2.0, 0.25):
            scale = min(1.0, self._work_side * side / longer)
            if scale in tried:
                continue
            tried.add(scale)
            faces = self._detect_at(frame_hwc_bgr, scale)
            if faces:
                return [self._looked_closer(frame_hwc_bgr, face, scale) for face in faces]
        return []

    def _detect_at(self, frame: UInt8Array, scale: float) -> list[Detection]:
        small = _shrunk(frame, scale)
        height, width = small.shape[:2]
        with self._lock:
            net = self._cuts if (width, height) == (CUT_SIDE, CUT_SIDE) else self._frames
            net.setInputSize((width, height))
            _, rows = net.detect(small)
        factors = np.array([frame.shape[1] / width, frame.shape[0] / height], dtype=np.float32)
        found = []
        for row in (
            np.empty((0, 15), dtype=np.float32) if rows is None else np.asarray(rows, dtype=np.float32)
        ):
            # On frames of a few pixels the network puts out absurd boxes and points.
            if not (np.isfinite(row).all() and (row[2:4] > 1).all() and np.ptp(row[4:14:2]) > 0):
                continue
            centre = row[:2] + row[2:4] / 2
            if (centre >= 0).all() and centre[0] <= width and centre[1] <= height:
                box = (row[:4].reshape(2, 2) * factors).reshape(4)
                found.append(Detection(box, row[4:14].reshape(5, 2) * factors, min(float(row[14]), 1.0)))
        return sorted(found, key=lambda face: -face.score)

    def _looked_closer(self, frame: UInt8Array, face: Detection, scale: float) -> Detection:
        """The same face with its points found again in an upright cut-out, where the first ones are poor."""
        side = float(max(face.box_xywh[2:])) * scale
        poor, turned = not GOOD_SIDES[0] <= side <= GOOD_SIDES[1], 0.0
        for _ in range(2):  # a strong tilt is seen in full at the second look only
            tilt = math.degrees(landmark_angle(face.landmarks))
            if not poor and abs(tilt - turned) < UPRIGHT:
                break
            turned = tilt
            points = self._points_upright(frame, face)
            if points is None:
                break
            face, poor = Detection(face.box_xywh, points, face.score), False
        return face

    def _points_upright(self, frame: UInt8Array, face: Detection) -> Float32Array | None:
        """The five points in the frame, found in a cut-out that undoes the tilt; None where none is seen."""
        x, y, width, height = map(float, face.box_xywh)
        middle_of_box = (x + width / 2, y + height / 2)
        scale = LOOKED_SIDE / max(width, height)
        tilt = math.degrees(landmark_angle(face.landmarks))
        matrix = np.asarray(cv2.getRotationMatrix2D(middle_of_box, tilt, scale), np.float64)
        matrix[:, 2] += CUT_SIDE / 2 - np.array(middle_of_box)
        cut = warp_crop(frame, matrix, CUT_SIDE)
        margin = (CUT_SIDE - LOOKED_SIDE) / 2
        middle = np.array([margin, margin, LOOKED_SIDE, LOOKED_SIDE], dtype=np.float32)
        seen = max(self._detect_at(cut, 1.0), key=lambda other: overlap(other.box_xywh, middle), default=None)
        if seen is None or overlap(seen.box_xywh, middle) <= SAME_FACE:
            return None
        return transform_points(seen.landmarks, cv2.invertAffineTransform(matrix))


class HaarDetector:
    """OpenCV's Haar cascades propose boxes; the landmark network says which are faces, and finds the points.

    Works with no file but the bundle. Calls from several threads take turns.
    """

    def __init__(self, landmark_net: LandmarkNet, threshold: float = 0.5, work_side: int = 640) -> None:
        """Load the cascades that OpenCV brings.

        Args:
            landmark_net: finds the points, and tells faces from the cascades' false alarms.
            threshold: lowest probability of a face, 0 to 1.
            work_side: longer side in pixels to which a frame is shrunk for the cascades.

        Raises:
            ConfigError: this OpenCV has no cascades (version 5 has dropped them).
        """
        self._net = landmark_net
        self._threshold = threshold
        self._work_side = work_side
        self._lock = threading.Lock()
        self._frontal = [_cascade("frontalface_default"), _cascade("frontalface_alt2")]
        self._profile = _cascade("profileface")

    def detect(self, frame_hwc_bgr: UInt8Array) -> list[Detection]:
        """Faces in a uint8 (H, W, 3) frame, the surest first; empty where there is none."""
        check_frame(frame_hwc_bgr)
        longer = max(frame_hwc_bgr.shape[:2])
        tried = set()
        for side in (1.0, 2.0):
            scale = min(1.0, self._work_side * side / longer)
            if scale in tried:
                break
            tried.add(scale)
            grey = cv2.cvtColor(_shrunk(frame_hwc_bgr, scale), cv2.COLOR_BGR2GRAY)
            # Each is asked only where those before it have found nothing: together they take twice as long,
            # and find one face in a hundred more.
            proposers: list[Callable[[UInt8Array], list[Float32Array]]] = [
                *(partial(self._frontal_boxes, cascade) for cascade in self._frontal),
                self._profile_boxes,
            ]
            for propose in proposers:
                boxes = [box / np.float32(scale) for box in propose(np.asarray(grey, dtype=np.uint8))]
                faces = self._faces(frame_hwc_bgr, boxes)
                if faces:
                    return faces
        return []

    def _frontal_boxes(self, cascade: cv2.CascadeClassifier, grey: UInt8Array) -> list[Float32Array]:
        with self._lock:
            return [np.asarray(box, dtype=np.float32) for box in cascade.detectMultiScale(grey, 1.1, 1)]

    def _profile_boxes(self, grey: UInt8Array) -> list[Float32Array]:
        """The profile cascade knows one side; the mirrored frame gives the other."""
        boxes = []
        with self._lock:
            for mirrored in (False, True):
                view = np.ascontiguousarray(grey[:, ::-1]) if mirrored else grey
                for box in self._profile.detectMultiScale(view, 1.1, 1):
                    x = grey.shape[1] - box[0] - box[2] if mirrored else box[0]
                    boxes.append(np.array([x, *box[1:]], dtype=np.float32))
        return boxes

    def _faces(self, frame: UInt8Array, boxes: Sequence[Float32Array]) -> list[Detection]:
        """What the network takes for faces, each once."""
        distinct = [boxes[index] for index in suppress(boxes, [1.0] * len(boxes), 0.6)]
        found = self._net.refine_all(frame, distinct)
        faces = []
        for points, score in zip(five_points(found.points), found.confidence.tolist(), strict=True):
            if score >= self._threshold and np.isfinite(points).all():
                faces.append(Detection(box_from_landmarks(points), points, score))
        kept = suppress([face.box_xywh for face in faces], [face.score for face in faces], SAME_FACE)
        return [faces[index] for index in kept]


def make_detector(
    name: DetectorName,
    bundle: Bundle,
    yunet: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Detector:
    """The detector of a name: "auto" is YuNet where its file is at hand, else Haar.

    Args:
        name: "auto", "yunet" or "haar".
        bundle: brings the landmark network that Haar needs.
        yunet: YuNet's file; None = what `AIF_YUNET` names or `aif fetch yunet` has fetched.
        threads: threads of the landmark network; None = one a core.

    Raises:
        ConfigError: no such detector, or YuNet is wanted and not at hand.
        BundleError: Haar is wanted and the bundle brings no landmark network.
    """
    name, path = resolve_detector(name, yunet)
    return HaarDetector(LandmarkNet(bundle, threads)) if path is None else YuNetDetector(path)


def resolve_detector(
    name: DetectorName, yunet: str | os.PathLike[str] | None = None
) -> tuple[DetectorName, Path | None]:
    """Which detector a name means here, and YuNet's file where it is that; arguments as `make_detector`.

    Raises:
        ConfigError: no such detector, or YuNet is wanted and not at hand.
    """
    if name not in get_args(DetectorName):
        raise ConfigError(f"There is no detector {name!r}.", f"Known: {', '.join(get_args(DetectorName))}.")
    path = None if name == "haar" else (Path(yunet) if yunet is not None else yunet_path())
    if path is None and name == "yunet":
        raise ConfigError(
            "YuNet's file is not here.", "Fetch it with: aif fetch yunet, or name it with AIF_YUNET."
        )
    return ("haar" if path is None else "yunet"), path


def check_frame(frame: npt.NDArray[np.generic]) -> None:
    """Raise ImageError unless `frame` is a non-empty uint8 (H, W, 3) array."""
    if not isinstance(frame, np.ndarray):  # cv2.imread's way of saying that there is no picture is None
        raise ImageError(
            f"A frame must be a NumPy array, not {type(frame).__name__}.",
            "cv2.imread and VideoCapture.read give None where they could not read: check the path."
            if frame is None
            else "Make one with cv2.imread, or numpy.asarray(image).",
        )
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ImageError(
            f"A frame must be uint8 (height, width, 3) in BGR order, not {frame.dtype} {frame.shape}.",
            "Grey images: cv2.cvtColor(image, cv2.COLOR_GRAY2BGR). 16 bit: divide by 257 first.",
        )


def overlap(one_xywh: Float32Array, other_xywh: Float32Array) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    low = np.maximum(one_xywh[:2], other_xywh[:2])
    high = np.minimum(one_xywh[:2] + one_xywh[2:], other_xywh[:2] + other_xywh[2:])
    common = float(np.prod(np.maximum(high - low, 0)))
    union = float(np.prod(one_xywh[2:]) + np.prod(other_xywh[2:])) - common
    return common / union if union > 0 else 0.0


def suppress(boxes_xywh: Sequence[Float32Array], scores: Sequence[float], limit: float) -> list[int]:
    """Numbers of the boxes that overlap no better one by more than `limit`, the best first."""
    kept: list[int] = []
    for index in sorted(range(len(boxes_xywh)), key=lambda i: -scores[i]):
        if all(overlap(boxes_xywh[index], boxes_xywh[other]) <= limit for other in kept):
            kept.append(index)
    return kept


def _shrunk(frame: UInt8Array, scale: float) -> UInt8Array:
    if scale >= 1:
        return frame
    size = tuple(max(1, round(side * scale)) for side in (frame.shape[1], frame.shape[0]))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _cascade(name: str) -> cv2.CascadeClassifier:
    """One of the Haar cascades that OpenCV 4's wheels bring."""
    folder = Path(cv2.__file__).parent / "data"
    try:
        cascade = cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml"))
        missing = cascade.empty()
    except (cv2.error, AttributeError):
        missing = True
    if missing:
        raise ConfigError(
            f"OpenCV {cv2.__version__} has no Haar cascades.",
            'Install OpenCV 4 (pip install "opencv-python<5"), or fetch YuNet: aif fetch yunet',
        )
    return cascade
