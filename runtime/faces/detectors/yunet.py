"""YuNet proposes."""

from __future__ import annotations

import os
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
            raise ConfigError(
                f"YuNet cannot be loaded from {os.fspath(path)}: {error}",
                "Fetch it with: aif fetch yunet, or choose another detector with --detector haar.",
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
