"""OpenCV proposes: its YuNet network, or the Haar cascades that it brings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import ConfigError
from aif.runtime.faces.detectors.checked import CheckedDetector, Proposal
from aif.runtime.faces.landmarks import LandmarkNet


class YuNetDetector(CheckedDetector):
    """OpenCV's YuNet network proposes.

    It finds faces of about 10 to 300 px, so frames are shrunk, and looked at in other sizes when nothing is
    found. Its points follow the tilt of a head in part only, and are those of an upright face where one lies
    on its side: they are not used (docs/decisions/detection.md).
    """

    sizes = (1.0, 0.5, 2.0, 0.25)

    def __init__(self, path: str | os.PathLike[str], landmark_net: LandmarkNet) -> None:
        """Load YuNet's ONNX file.

        Raises:
            ConfigError: the file is missing or not YuNet.
        """
        super().__init__(landmark_net)
        try:
            model = np.frombuffer(Path(path).read_bytes(), dtype=np.uint8)
            none = np.empty(0, dtype=np.uint8)
            self._yunet = cv2.FaceDetectorYN.create("onnx", model, none, (256, 256), 0.6, 0.3, 5000)
        except (OSError, cv2.error) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is another file, or damaged"
            raise ConfigError(
                f"YuNet cannot be loaded from {os.fspath(path)}: {reason}.",
                "aif fetch yunet fetches it, once; then neither --yunet nor AIF_YUNET is needed.",
            ) from error

    def _glance(self, small: UInt8Array) -> list[Proposal]:
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
                found.append(Proposal(box))
        return found


class HaarDetector(CheckedDetector):
    """OpenCV's Haar cascades propose. Works with no file but the bundle."""

    sizes = (1.0, 2.0)
    turns = (45, -45, 90, -90, 135, -135, 180)

    def __init__(self, landmark_net: LandmarkNet) -> None:
        """Load the cascades that OpenCV brings.

        Raises:
            ConfigError: this OpenCV has no cascades (version 5 has dropped them).
        """
        super().__init__(landmark_net)
        self._frontal = [cascade("frontalface_default"), cascade("frontalface_alt2")]
        self._profile = cascade("profileface")

    def _proposals(self, small: UInt8Array) -> Iterator[list[Proposal]]:
        # Each is asked only where those before it have found nothing: together they take twice as long,
        # and find one face in a hundred more.
        for cascade in self._frontal:
            yield self._boxes(cascade, small)
        # The profile cascade knows one side; the mirrored frame gives the other.
        other = self._boxes(self._profile, np.ascontiguousarray(small[:, ::-1]))
        for box, *_ in other:
            box[0] = small.shape[1] - box[0] - box[2]
        yield [*self._boxes(self._profile, small), *other]

    def _glance(self, small: UInt8Array) -> list[Proposal]:
        return self._boxes(self._frontal[0], small)

    def _boxes(self, cascade: cv2.CascadeClassifier, small: UInt8Array) -> list[Proposal]:
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        with self._lock:
            boxes = cascade.detectMultiScale(grey, 1.1, 1)
        return [Proposal(np.asarray(box, dtype=np.float32)) for box in boxes]


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
