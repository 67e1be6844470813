"""A detector in two steps: something cheap proposes boxes, the landmark network decides."""

from __future__ import annotations

import abc
import math
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.faces.boxes import SAME_FACE, shrunk, suppress, turned_copy
from aif.runtime.faces.detection import Detection, check_frame
from aif.runtime.faces.landmarks import LandmarkNet, box_from_landmarks
from aif.runtime.geometry.align import transform_points
from aif.runtime.geometry.points import five_points

# Turned copies of a frame are searched at this longer side in pixels. There are many of them, so what is
# taken for a face there has to be surer.
TURNED_SIDE, TURNED_THRESHOLD = 400, 0.8

# A face of which the network is less sure than this is looked at turned, too, and the surest turn is its own:
# one that stands on its head may pass for upright.
CERTAIN = 0.99
QUARTERS = (math.pi / 2, -math.pi / 2, math.pi)

# Where a proposal has a score, the lowest product of it and this power of the landmark network's: a face that
# is doubtful to one has to be plain to the other.
BOTH, POWER = 0.36, 4


class Proposal(NamedTuple):
    """Where a face may be."""

    box: Float32Array
    """Left, top, width, height."""
    turn: float = 0.0
    """How far it is turned clockwise, in radians, give or take 45 degrees."""
    score: float = 1.0
    """How likely it is one, 0 to 1."""


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
    def _proposals(self, frame: UInt8Array) -> Iterator[list[Proposal]]:
        """Boxes in frame pixels, list after list, the likeliest first; one that holds a face ends it."""

    @abc.abstractmethod
    def _glance(self, small: UInt8Array) -> list[Proposal]:
        """Boxes in a small frame, by what is quickest; asked for turned copies only."""

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
            for box, _, _ in self._glance(copy):
                middle = transform_points((box[:2] + box[2:] / 2)[None], back)[0]
                corner = middle - box[2:] / 2
                placed = np.asarray([*corner, *box[2:]], dtype=np.float32) / np.float32(scale)
                found.append(Proposal(placed, math.radians(degrees)))
            if faces := self._faces(frame_hwc_bgr, found, turned=True):
                return faces
        return []

    def _faces(
        self, frame: UInt8Array, proposals: Sequence[Proposal], turned: bool = False
    ) -> list[Detection]:
        """What the network takes for faces, each once; in `turned` copies it has to be surer."""
        alike = suppress([each.box for each in proposals], [each.score for each in proposals], 0.6)
        distinct = [proposals[index] for index in alike]
        least = max(self._threshold, TURNED_THRESHOLD) if turned else self._threshold
        faces = []
        for each, face in zip(distinct, self._looked_at(frame, distinct), strict=True):
            if face.score < least or (each.score < 1 and face.score**POWER * each.score < BOTH):
                continue
            looks = [face]
            if turned or face.score < CERTAIN:
                others = [each._replace(turn=each.turn + quarter) for quarter in QUARTERS]
                looks += self._looked_at(frame, others)
            faces.append(max(looks, key=lambda look: look.score))
        kept = suppress([face.box_xywh for face in faces], [face.score for face in faces], SAME_FACE)
        return [faces[index] for index in kept]

    def _looked_at(self, frame: UInt8Array, proposals: Sequence[Proposal]) -> list[Detection]:
        """What the network sees there; points that are not finite have score 0."""
        boxes, turns = [each.box for each in proposals], [each.turn for each in proposals]
        found = self._net.refine_all(frame, boxes, angle=turns)
        return [
            Detection(box_from_landmarks(points), points, score if np.isfinite(points).all() else 0.0)
            for points, score in zip(five_points(found.points), found.confidence.tolist(), strict=True)
        ]
