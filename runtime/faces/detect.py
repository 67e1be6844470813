"""Faces in a frame: by YuNet where its file is at hand, else by Haar cascades and the landmark network."""

from __future__ import annotations

import abc
import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import ConfigError, ImageError
from aif.runtime.faces.landmarks import LandmarkNet, box_from_landmarks
from aif.runtime.fetch import yunet_path
from aif.runtime.geometry.align import transform_points
from aif.runtime.geometry.points import five_points

DetectorName = Literal["auto", "yunet", "haar"]

# Two boxes that overlap more than this (intersection over union) show one face.
SAME_FACE = 0.35

# Turned copies of a frame are searched at this longer side in pixels. There are many of them, so what is
# taken for a face there has to be surer.
TURNED_SIDE, TURNED_THRESHOLD = 400, 0.8

# A face of which the network is less sure than this is looked at turned, too, and the surest turn is its own:
# one that stands on its head may pass for upright.
CERTAIN = 0.99


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


class CheckedDetector(abc.ABC):
    """Something cheap proposes boxes; the landmark network says which are faces, and finds their points.

    Where no proposal is a face in the picture as it is, turned copies of it are searched. Calls from several
    threads take turns at the proposals.
    """

    turns: tuple[float, ...] = (90, -90, 180)
    """How faces are turned clockwise, in degrees, that are looked for where there is no upright one."""

    def __init__(self, landmark_net: LandmarkNet, threshold: float = 0.5, work_side: int = 640) -> None:
        """Use a landmark network.

        Args:
            landmark_net: finds the points, and tells faces from false alarms.
            threshold: lowest probability of a face, 0 to 1.
            work_side: longer side in pixels to which a frame is shrunk for the proposals.
        """
        self._net = landmark_net
        self._threshold = threshold
        self._work_side = work_side
        self._lock = threading.Lock()

    @abc.abstractmethod
    def _proposals(self, frame: UInt8Array) -> Iterator[list[Float32Array]]:
        """Boxes in frame pixels, list after list, the likeliest first; one that holds a face ends it."""

    @abc.abstractmethod
    def _glance(self, small: UInt8Array) -> list[Float32Array]:
        """Boxes in a small frame, by what is quickest."""

    def detect(self, frame_hwc_bgr: UInt8Array) -> list[Detection]:
        """Faces in a uint8 (H, W, 3) frame, the surest first; empty where there is none."""
        check_frame(frame_hwc_bgr)
        for boxes in self._proposals(frame_hwc_bgr):
            if faces := self._faces(frame_hwc_bgr, boxes):
                return faces
        scale = min(1.0, TURNED_SIDE / max(frame_hwc_bgr.shape[:2]))
        small = shrunk(frame_hwc_bgr, scale)
        for degrees in self.turns:
            copy, back = turned_copy(small, degrees)
            found = []
            for box in self._glance(copy):
                middle = transform_points((box[:2] + box[2:] / 2)[None], back)[0]
                corner = middle - box[2:] / 2
                found.append(np.asarray([*corner, *box[2:]], dtype=np.float32) / np.float32(scale))
            if faces := self._faces(frame_hwc_bgr, found, degrees):
                return faces
        return []

    def _faces(
        self, frame: UInt8Array, boxes: Sequence[Float32Array], degrees: float = 0.0
    ) -> list[Detection]:
        """What the network takes for faces that are turned by so much, each once."""
        distinct = [boxes[index] for index in suppress(boxes, [1.0] * len(boxes), 0.6)]
        least = max(self._threshold, TURNED_THRESHOLD) if degrees else self._threshold
        faces = []
        for box, face in zip(distinct, self._looked_at(frame, distinct, degrees), strict=True):
            if face.score >= least:
                turns = (90, -90, 180) if degrees or face.score < CERTAIN else ()
                others = (self._looked_at(frame, [box], degrees + turn)[0] for turn in turns)
                faces.append(max((face, *others), key=lambda each: each.score))
        kept = suppress([face.box_xywh for face in faces], [face.score for face in faces], SAME_FACE)
        return [faces[index] for index in kept]

    def _looked_at(self, frame: UInt8Array, boxes: Sequence[Float32Array], degrees: float) -> list[Detection]:
        """What the network sees in the boxes, turned by so much; points that are not finite have score 0."""
        found = self._net.refine_all(frame, boxes, angle=math.radians(degrees))
        return [
            Detection(box_from_landmarks(points), points, score if np.isfinite(points).all() else 0.0)
            for points, score in zip(five_points(found.points), found.confidence.tolist(), strict=True)
        ]


class YuNetDetector(CheckedDetector):
    """OpenCV's YuNet network proposes.

    It finds faces of about 10 to 300 px, so frames are shrunk to `work_side` and, when nothing is found
    there, to other sizes too. Its points follow the tilt of a head in part only, and are those of an upright
    face where one lies on its side: they are not used (docs/decisions/detection.md).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        landmark_net: LandmarkNet,
        threshold: float = 0.5,
        work_side: int = 640,
    ) -> None:
        """Load the network; arguments as for `CheckedDetector`, and YuNet's ONNX file.

        Raises:
            ConfigError: the file is missing or not YuNet.
        """
        super().__init__(landmark_net, threshold, work_side)
        try:
            model = np.frombuffer(Path(path).read_bytes(), dtype=np.uint8)
            none = np.empty(0, dtype=np.uint8)
            self._yunet = cv2.FaceDetectorYN.create("onnx", model, none, (256, 256), 0.6, 0.3, 5000)
        except (OSError, cv2.error) as error:
            raise ConfigError(
                f"YuNet cannot be loaded from {os.fspath(path)}: {error}",
                "Fetch it with: aif fetch yunet, or choose another detector with --detector haar.",
            ) from error

    def _proposals(self, frame: UInt8Array) -> Iterator[list[Float32Array]]:
        for scale in scales(frame, self._work_side, (1.0, 0.5, 2.0, 0.25)):
            yield [box / np.float32(scale) for box in self._glance(shrunk(frame, scale))]

    def _glance(self, small: UInt8Array) -> list[Float32Array]:
        height, width = small.shape[:2]
        with self._lock:
            self._yunet.setInputSize((width, height))
            _, rows = self._yunet.detect(small)
        found = []
        for box in () if rows is None else np.asarray(rows, dtype=np.float32)[:, :4]:
            # On frames of a few pixels the network puts out absurd boxes.
            if not (np.isfinite(box).all() and (box[2:] > 1).all()):
                continue
            centre = box[:2] + box[2:] / 2
            if (centre >= 0).all() and centre[0] <= width and centre[1] <= height:
                found.append(box)
        return found


class HaarDetector(CheckedDetector):
    """OpenCV's Haar cascades propose. Works with no file but the bundle."""

    turns = (45, -45, 90, -90, 135, -135, 180)

    def __init__(self, landmark_net: LandmarkNet, threshold: float = 0.5, work_side: int = 640) -> None:
        """Load the cascades that OpenCV brings; arguments as for `CheckedDetector`.

        Raises:
            ConfigError: this OpenCV has no cascades (version 5 has dropped them).
        """
        super().__init__(landmark_net, threshold, work_side)
        self._frontal = [cascade("frontalface_default"), cascade("frontalface_alt2")]
        self._profile = cascade("profileface")

    def _proposals(self, frame: UInt8Array) -> Iterator[list[Float32Array]]:
        # Each is asked only where those before it have found nothing: together they take twice as long,
        # and find one face in a hundred more.
        for scale in scales(frame, self._work_side, (1.0, 2.0)):
            small = shrunk(frame, scale)
            mirrored = np.ascontiguousarray(small[:, ::-1])
            for cascade in self._frontal:
                yield [box / np.float32(scale) for box in self._boxes(cascade, small)]
            # The profile cascade knows one side; the mirrored frame gives the other.
            other = self._boxes(self._profile, mirrored)
            for box in other:
                box[0] = small.shape[1] - box[0] - box[2]
            yield [box / np.float32(scale) for box in (*self._boxes(self._profile, small), *other)]

    def _glance(self, small: UInt8Array) -> list[Float32Array]:
        return self._boxes(self._frontal[0], small)

    def _boxes(self, cascade: cv2.CascadeClassifier, small: UInt8Array) -> list[Float32Array]:
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        with self._lock:
            return [np.asarray(box, dtype=np.float32) for box in cascade.detectMultiScale(grey, 1.1, 1)]


def make_detector(
    name: DetectorName,
    bundle: Bundle,
    yunet: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Detector:
    """The detector of a name: "auto" is YuNet where its file is at hand, else Haar.

    Args:
        name: "auto", "yunet" or "haar".
        bundle: brings the landmark network; one without takes the embedded bundle's.
        yunet: YuNet's file; None = what `AIF_YUNET` names or `aif fetch yunet` has fetched.
        threads: threads of the landmark network; None = one a core.

    Raises:
        ConfigError: no such detector, or YuNet is wanted and not at hand.
    """
    name, path = resolve_detector(name, yunet)
    net = LandmarkNet(Bundle.open() if bundle.manifest.landmarks is None else bundle, threads)
    return HaarDetector(net) if path is None else YuNetDetector(path, net)


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
            else "Use cv2.imread. A Pillow image is RGB: "
            'cv2.cvtColor(numpy.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)',
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


def scales(frame: UInt8Array, work_side: int, shares: Sequence[float]) -> list[float]:
    """How far to shrink a frame so that its longer side is so many times `work_side`; 1 at most."""
    return list(dict.fromkeys(min(1.0, work_side * share / max(frame.shape[:2])) for share in shares))


def turned_copy(frame_hwc: UInt8Array, degrees: float) -> tuple[UInt8Array, npt.NDArray[np.float64]]:
    """The whole frame turned anticlockwise, and the (2, 3) way back from copy to frame pixels."""
    height, width = frame_hwc.shape[:2]
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, degrees, 1.0), dtype=np.float64)
    reach = np.abs(matrix[:, :2]) @ (width, height)
    size = (max(1, round(reach[0])), max(1, round(reach[1])))
    matrix[:, 2] += (np.array(size) - (width, height)) / 2
    copy = cv2.warpAffine(frame_hwc, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(copy, dtype=np.uint8), np.asarray(cv2.invertAffineTransform(matrix), np.float64)


def shrunk(frame: UInt8Array, scale: float) -> UInt8Array:
    """The frame, smaller by `scale`; as it is from 1 on."""
    if scale >= 1:
        return frame
    size = tuple(max(1, round(side * scale)) for side in (frame.shape[1], frame.shape[0]))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def cascade(name: str) -> cv2.CascadeClassifier:
    """One of the Haar cascades that OpenCV 4's wheels bring.

    Raises:
        ConfigError: this OpenCV has none.
    """
    folder = Path(cv2.__file__).parent / "data"
    try:
        found = cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml"))
        missing = found.empty()
    except (cv2.error, AttributeError):
        missing = True
    if missing:
        raise ConfigError(
            f"OpenCV {cv2.__version__} has no Haar cascades.",
            'Install OpenCV 4 (pip install "opencv-python<5"), or fetch YuNet: aif fetch yunet',
        )
    return found
