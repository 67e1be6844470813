"""OpenCV's Haar cascades propose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import ConfigError
from aif.runtime.faces.detectors.checked import CheckedDetector, Proposal
from aif.runtime.faces.landmarks import LandmarkNet


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
