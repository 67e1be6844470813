"""A detector in two steps: something cheap proposes boxes, the landmark network decides."""

from __future__ import annotations

import abc
import math
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.faces.detection import SAME_FACE, Detection, check_frame, shrunk, turned_copy
from aif.runtime.faces.landmarks import LandmarkNet, box_from_landmarks
from aif.runtime.geometry.align import transform_points
from aif.runtime.geometry.points import five_points

# Usual longer side in pixels to which a frame is shrunk for the proposals, and lowest probability of a face.
WORK_SIDE, THRESHOLD = 640, 0.5

# The same for turned copies of a frame. There are many of them, so what is taken for a face there has to be
# surer.
TURNED_SIDE, TURNED_THRESHOLD = 400, 0.8

# A face of which the network is less sure than this is looked at turned, too, and the surest turn is its own:
# one that stands on its head may pass for upright.
CERTAIN = 0.99
QUARTERS = (math.pi / 2, -math.pi / 2, math.pi)

# Where a proposal has a score, the lowest product of it and this power of the landmark network's: a face that
# is doubtful to one has to be plain to the other.
BOTH, POWER = 0.36, 4

# Proposals that overlap more than this (intersection over union) are looked at once.
ALIKE = 0.6


class Proposal(NamedTuple):
    """Where a face may be.

    Attributes:
        box: left, top, width, height.
        turn: how far it is turned clockwise, in radians, give or take 45 degrees.
        score: how likely it is one, 0 to 1.
    """

    box: Float32Array
    turn: float = 0.0
    score: float = 1.0


class CheckedDetector(abc.ABC):
    """Something cheap proposes boxes; the landmark network says which are faces, and finds their points.

    Where no proposal is a face in the picture as it is, turned copies of it are searched. Calls from several
    threads take turns at the proposals.
    """

    sizes: tuple[float, ...] = (1.0,)
    """Longer sides to which a frame is shrunk, one after the other, in units of `WORK_SIDE`."""

    turns: tuple[float, ...] = (90, -90, 180)
    """How faces are turned clockwise, in degrees, that are looked for where there is no upright one."""

    def __init__(self, landmark_net: LandmarkNet) -> None:
        """Use a landmark network: it finds the points, and tells faces from false alarms."""
        self._net = landmark_net
        self._lock = threading.Lock()

    @abc.abstractmethod
    def _glance(self, small: UInt8Array) -> list[Proposal]:
        """Boxes in a small frame, by what is quickest."""

    def _proposals(self, small: UInt8Array) -> Iterator[list[Proposal]]:
        """Boxes in an upright small frame, list after list; one that holds a face ends it."""
        yield self._glance(small)

    def detect(self, frame_hwc_bgr: UInt8Array) -> list[Detection]:
        """Faces in a uint8 (H, W, 3) frame, the surest first; empty where there is none."""
        check_frame(frame_hwc_bgr)
        longer = max(frame_hwc_bgr.shape[:2])
        for scale in dict.fromkeys(min(1.0, WORK_SIDE * size / longer) for size in self.sizes):
            for proposals in self._proposals(shrunk(frame_hwc_bgr, scale)):
                placed = [each._replace(box=each.box / np.float32(scale)) for each in proposals]
                if faces := self._faces(frame_hwc_bgr, placed):
                    return faces
        scale = min(1.0, TURNED_SIDE / longer)
        small = shrunk(frame_hwc_bgr, scale)
        for degrees in self.turns:
            copy, back = turned_copy(small, degrees)
            found = []
            for box, _, _ in self._glance(copy):
                middle = transform_points((box[:2] + box[2:] / 2)[None], back)[0]
                there = np.asarray([*(middle - box[2:] / 2), *box[2:]], dtype=np.float32)
                found.append(Proposal(there / np.float32(scale), math.radians(degrees)))
            if faces := self._faces(frame_hwc_bgr, found, turned=True):
                return faces
        return []

    def _faces(
        self, frame: UInt8Array, proposals: Sequence[Proposal], turned: bool = False
    ) -> list[Detection]:
        """What the network takes for faces, each once; in `turned` copies it has to be surer."""
        boxes, scores = [each.box.tolist() for each in proposals], [each.score for each in proposals]
        distinct = [proposals[index] for index in cv2.dnn.NMSBoxes(boxes, scores, 0.0, ALIKE)]
        least = TURNED_THRESHOLD if turned else THRESHOLD
        faces = []
        for each, face in zip(distinct, self._looked_at(frame, distinct), strict=True):
            if face.score < least or (each.score < 1 and face.score**POWER * each.score < BOTH):
                continue
            looks = [face]
            if turned or face.score < CERTAIN:
                others = [each._replace(turn=each.turn + quarter) for quarter in QUARTERS]
                looks += self._looked_at(frame, others)
            faces.append(max(looks, key=lambda look: look.score))
        boxes, scores = [face.box_xywh.tolist() for face in faces], [face.score for face in faces]
        return [faces[index] for index in cv2.dnn.NMSBoxes(boxes, scores, 0.0, SAME_FACE)]

    def _looked_at(self, frame: UInt8Array, proposals: Sequence[Proposal]) -> list[Detection]:
        """What the network sees there."""
        boxes, turns = [each.box for each in proposals], [each.turn for each in proposals]
        found = self._net.refine_all(frame, boxes, turns)
        return [
            Detection(box_from_landmarks(points), points, score)
            for points, score in zip(five_points(found.points), found.confidence.tolist(), strict=True)
        ]
