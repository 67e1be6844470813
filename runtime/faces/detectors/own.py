"""A network of the bundle proposes: trained by `aif fit detector`."""

from __future__ import annotations

import math

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import BundleError
from aif.runtime.faces.detectors.checked import CheckedDetector, Proposal
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.networks.sessions import Session

# Pixels to a cell of the network's maps; its input's sides are multiples of the second.
STRIDE, MULTIPLE = 8, 32

# Lowest probability of what is looked at more closely, and at most how many, the likeliest.
PROPOSED, MOST = 0.38, 60


class ProposalNet:
    """The face detector of a bundle. Calls may come from several threads at once."""

    def __init__(self, source: Bundle | bytes, threads: int | None = None) -> None:
        """Load the network on the CPU.

        Args:
            source: a bundle that brings the network, or the ONNX bytes of one.
            threads: threads of one call; None = one a core.

        Raises:
            BundleError: the bundle brings none, or the graph is not one.
        """
        graph = source if isinstance(source, bytes) else source.detector_bytes()
        self._session = Session(graph, "cpu", threads, "face detector")
        maps = {"heat": (None, 1, None, None), "box": (None, 5, None, None)}
        if self._session.inputs != {"image": (None, 3, None, None)} or self._session.outputs != maps:
            raise BundleError(
                f"The face detector takes {self._session.inputs} and gives {self._session.outputs}, "
                "where image Nx3xHxW, heat Nx1xH/8xW/8 and box Nx5xH/8xW/8 are needed.",
                "Export the bundle again with aif-export.",
            )

    def propose(self, frame_hwc_bgr: UInt8Array) -> list[Proposal]:
        """Where faces may be in a uint8 (H, W, 3) frame, the likeliest first."""
        height, width = frame_hwc_bgr.shape[:2]
        padded = [-(-side // MULTIPLE) * MULTIPLE for side in (height, width)]
        canvas = np.full((*padded, 3), 115, dtype=np.uint8)
        canvas[:height, :width] = frame_hwc_bgr
        image = np.asarray(cv2.dnn.blobFromImage(canvas, 1 / 255, swapRB=True), dtype=np.float32)
        heat, box = self._session.run(["heat", "box"], {"image": image})
        return decoded(heat[0, 0], box[0])


class OwnDetector(CheckedDetector):
    """A small network that sees faces of about 12 to 300 px, however turned, and how far.

    So no turned copies are searched, and the landmark network begins in the right direction.
    """

    sizes = (1.0, 0.5, 2.0)
    turns = ()

    def __init__(self, net: ProposalNet, landmark_net: LandmarkNet) -> None:
        """Use a network that proposes, and one that decides."""
        super().__init__(landmark_net)
        self._proposer = net

    def _glance(self, small: UInt8Array) -> list[Proposal]:
        return self._proposer.propose(small)


def decoded(heat: Float32Array, box: Float32Array) -> list[Proposal]:
    """What the network's maps say, the likeliest first, in pixels of its input.

    Args:
        heat: (H, W) probability that a cell has a face's centre, 0 beside a likelier one.
        box: (5, H, W), where the centre is from the cell's, x and y in cells, the logarithm of the side in
            cells, cosine and sine of how far the face is turned clockwise.
    """
    rows, columns = np.nonzero(heat >= PROPOSED)
    order = np.argsort(-heat[rows, columns], kind="stable")[:MOST]
    found = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        dx, dy, size, cos, sin = box[:, row, column].tolist()
        side = STRIDE * math.exp(min(size, 6.0))
        x, y = STRIDE * (column + 0.5 + dx) - 0.5, STRIDE * (row + 0.5 + dy) - 0.5
        corner = (x - side / 2, y - side / 2, side, side)
        if all(map(math.isfinite, (*corner, cos, sin))) and side > 1:
            turn, score = math.atan2(sin, cos), float(heat[row, column])
            found.append(Proposal(np.array(corner, dtype=np.float32), turn, score))
    return found
