"""Dense landmarks, pose, a face probability and what is hidden, from a face box, by a small network of the
bundle.

The training of that network cuts its crops with `landmark_crop`, around boxes as `box_from_landmarks` and
`close_view` give them: all stand here once, so that training and use see the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import BundleError
from aif.runtime.faces.lips import along_edges
from aif.runtime.geometry.align import similarity_transform, transform_points, warp_crop
from aif.runtime.geometry.points import COUNT, five_points
from aif.runtime.networks.sessions import Session

# Side of the square crop around a face box, in units of the box's larger side.
CROP_SCALE = 1.5

# The usual box of a frontal face in the 128 px template: a square of this side around this centre (x, y).
# It is the median box of OpenCV's frontal Haar cascades on aligned faces; YuNet's boxes are as high and
# somewhat narrower.
TEMPLATE_BOX_CENTRE = (64.0, 74.0)
TEMPLATE_BOX_SIDE = 96.0

# A face whose place is known is looked at more closely: the box is smaller by this factor, and the crop then
# reaches from above the forehead to below the chin of an opened mouth.
CLOSER = 5 / 6

# What the network finds depends a little on where it looks. A face that is followed is looked at again, from
# where it was found, until its points stay within this share of the box's side, but no oftener than this.
SETTLED, MOST_LOOKS = 0.02, 5

# A face box, and how far the face in it is turned clockwise, in radians.
View = tuple[npt.NDArray[Any], float]


@dataclass(frozen=True)
class DenseFaces:
    """Dense landmarks of N faces.

    Attributes:
        points: float32 (N, 221, 2) x, y in pixels of the frame (or crop) that was looked at.
        pose: float32 (N, 3) yaw, pitch and roll in degrees; yaw grows as the nose moves right in the image,
            pitch as it moves down, roll as the face turns clockwise.
        confidence: float32 (N,) probability that there is a face.
        seen: float32 (N, 221) probability that nothing hides the point; 1 of networks that do not tell.
    """

    points: Float32Array
    pose: Float32Array
    confidence: Float32Array
    seen: Float32Array

    def __len__(self) -> int:
        return len(self.points)

    @staticmethod
    def none(count: int = 0) -> DenseFaces:
        """`count` faces of which nothing is known yet: zeros, nothing hidden."""
        points, pose, confidence = (np.zeros((count, *rest), np.float32) for rest in ((COUNT, 2), (3,), ()))
        return DenseFaces(points, pose, confidence, np.ones((count, COUNT), np.float32))


def landmark_crop(
    frame_hwc: UInt8Array, box_xywh: npt.ArrayLike, size: int, angle: float = 0.0
) -> tuple[UInt8Array, Float32Array]:
    """Cut the square around a face box that the landmark network looks at.

    The square has the box's centre and `CROP_SCALE` times its larger side. Beyond the frame's edge the border
    pixels are repeated. A point at `p` in the crop lies at the fraction `p / size` of the crop's side,
    which is what the network gives.

    Args:
        frame_hwc: uint8 (H, W, C), any channel order.
        box_xywh: left, top, width and height in frame pixels; may reach beyond the frame.
        size: side of the crop in pixels.
        angle: how far the face is turned clockwise, in radians; the crop is turned back by it.

    Returns:
        uint8 (size, size, C) crop, and float32 (2, 3): frame pixel coordinates to crop pixel coordinates.

    Raises:
        ValueError: the box is empty or not finite.
    """
    x, y, width, height = (float(v) for v in np.asarray(box_xywh, dtype=np.float64).reshape(4))
    side = CROP_SCALE * max(width, height)
    if not all(map(math.isfinite, (x, y, width, height, angle))) or min(width, height) <= 0:
        raise ValueError(f"a face box needs a finite place and a positive size, got {(x, y, width, height)}")
    scale = size / side
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    centre_x, centre_y = x + width / 2, y + height / 2
    matrix = np.array(
        [
            [cos, sin, size / 2 - cos * centre_x - sin * centre_y],
            [-sin, cos, size / 2 + sin * centre_x - cos * centre_y],
        ],
        dtype=np.float32,
    )
    return warp_crop(frame_hwc, matrix, size), matrix


def box_from_landmarks(landmarks: npt.ArrayLike) -> Float32Array:
    """The box that a face detector would give for these landmarks: float32 (4,) left, top, width, height.

    Five landmarks are fitted to the 128 px template by a similarity; the box is an upright square around the
    place of `TEMPLATE_BOX_CENTRE`, its side the fitted length of `TEMPLATE_BOX_SIDE`.

    Args:
        landmarks: (5, 2) in the template's order, or (221, 2); x, y in pixels.

    Raises:
        ValueError: the landmarks are not finite, of another number, or all lie in one point.
    """
    return _box_and_angle(landmarks)[0]


def landmark_angle(landmarks: npt.ArrayLike) -> float:
    """How far a face is turned clockwise, in radians, by the same fit."""
    return _box_and_angle(landmarks)[1]


def close_view(landmarks: npt.ArrayLike) -> tuple[Float32Array, float]:
    """Box and angle for `landmark_crop`, by the same fit, to look again at a face that is known."""
    box, angle = _box_and_angle(landmarks)
    margin = (1 - CLOSER) / 2 * box[2]
    return np.array([box[0] + margin, box[1] + margin, *(CLOSER * box[2:])], dtype=np.float32), angle


def _box_and_angle(landmarks: npt.ArrayLike) -> tuple[Float32Array, float]:
    """`box_from_landmarks` and `landmark_angle`, from one fit."""
    matrix = similarity_transform(five_of(landmarks), 128)
    (cos, back, shift_x), (sin, _, shift_y) = matrix.astype(np.float64).tolist()
    # The inverse of a similarity is its transpose over the square of its scale.
    square = cos * cos + sin * sin
    x, y = TEMPLATE_BOX_CENTRE[0] - shift_x, TEMPLATE_BOX_CENTRE[1] - shift_y
    centre_x, centre_y = (cos * x + sin * y) / square, (back * x + cos * y) / square
    side = TEMPLATE_BOX_SIDE / math.sqrt(square)
    box = np.array([centre_x - side / 2, centre_y - side / 2, side, side], dtype=np.float32)
    return box, -math.atan2(sin, cos)


def five_of(landmarks: npt.ArrayLike) -> Float32Array:
    """Five landmarks, float32 (5, 2), of five or of dense ones."""
    points = np.asarray(landmarks, dtype=np.float32)
    return five_points(points) if points.shape == (COUNT, 2) else points


class LandmarkNet:
    """The landmark network of a bundle. Calls may come from several threads at once.

    Attributes:
        input_size: side of its crop in pixels.
    """

    def __init__(self, source: Bundle | bytes, threads: int | None = None) -> None:
        """Load the network on the CPU, where one face takes it a few milliseconds.

        Args:
            source: a bundle that brings the network, or the ONNX bytes of one.
            threads: threads of one call; None = one a core.

        Raises:
            BundleError: the bundle brings none, or the graph is not one.
        """
        graph = source if isinstance(source, bytes) else source.landmarks_bytes()
        self._session = Session(graph, "cpu", threads, "landmark network")
        inputs, found = self._session.inputs, self._session.outputs
        size = inputs.get("image", (None,))[-1]
        outputs = {"landmarks": (None, COUNT, 2), "pose": (None, 3), "confidence": (None,)}
        every = {**outputs, "seen": (None, COUNT)}  # networks of before do not tell
        if size is None or inputs != {"image": (None, 3, size, size)} or found not in (outputs, every):
            raise BundleError(
                f"The landmark network takes {inputs} and gives {found}, "
                f"where image Nx3xSxS, landmarks Nx{COUNT}x2, pose Nx3 and confidence N are needed.",
                "Export the bundle again with aif-export.",
            )
        self.input_size = size

    def refine_all(
        self,
        frame_hwc_bgr: UInt8Array,
        boxes_xywh: Sequence[npt.ArrayLike],
        angle: float | Sequence[float] = 0.0,
    ) -> DenseFaces:
        """Find the landmarks of the face in each box, all boxes in one call of the network.

        It looks twice: the second time at a closer crop around the landmarks, turned upright by them.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3).
            boxes_xywh: face boxes in frame pixels, as a detector gives them.
            angle: how far the faces are turned clockwise, in radians, give or take 45 degrees; for all, or
                for each.

        Raises:
            ValueError: a box is empty or not finite.
        """
        angles = np.broadcast_to(angle, len(boxes_xywh)).tolist()
        views: list[View] = [(np.asarray(b), turn) for b, turn in zip(boxes_xywh, angles, strict=True)]
        frames = [frame_hwc_bgr] * len(views)
        found = self._look(frames, views).points
        return self._look(frames, [_next_view(*each) for each in zip(found, views, strict=True)])

    def follow(self, frame_hwc_bgr: UInt8Array, places: Sequence[npt.ArrayLike]) -> DenseFaces:
        """Find the landmarks of faces that are nearly known: those of the frame before.

        A face that rests takes one look. One that has moved is looked at again until its points stay, so that
        they depend on the frame and not on the way there: a face that stops, stops.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3).
            places: (5, 2) or (221, 2) landmarks in frame pixels about where each face should be.

        Raises:
            ValueError: landmarks are not five or 221 finite points, or all lie in one point.
        """
        views: list[View] = [close_view(points) for points in places]
        known = np.array([five_of(points) for points in places])
        faces, moving = DenseFaces.none(len(views)), np.arange(len(views))
        for _ in range(MOST_LOOKS):
            if not len(moving):
                break
            found = self._look([frame_hwc_bgr] * len(moving), [views[index] for index in moving])
            faces.points[moving], faces.pose[moving] = found.points, found.pose
            faces.confidence[moving], faces.seen[moving] = found.confidence, found.seen
            five = five_points(found.points)
            moved = np.sqrt(((five - known[moving]) ** 2).sum(axis=2).mean(axis=1))
            known[moving] = five
            moving = moving[moved > SETTLED * np.array([views[index][0][2] for index in moving])]
            for index in moving:
                views[index] = _next_view(faces.points[index], views[index])
        return _with_lips([frame_hwc_bgr] * len(views), faces)

    def in_crops(self, crops_nhwc_bgr: npt.NDArray[np.uint8]) -> DenseFaces:
        """Find the landmarks of faces in aligned face crops uint8 (N, S, S, 3), in pixels of these."""
        scale = crops_nhwc_bgr.shape[1] / 128
        side = CLOSER * TEMPLATE_BOX_SIDE
        corner = (centre - side / 2 for centre in TEMPLATE_BOX_CENTRE)
        view: View = (np.array([*corner, side, side]) * scale, 0.0)
        crops = list(crops_nhwc_bgr)
        return _with_lips(crops, self._look(crops, [view] * len(crops)))

    def run(self, crops_nhwc_bgr: npt.NDArray[np.uint8]) -> DenseFaces:
        """The bare network on crops uint8 (N, S, S, 3) as `landmark_crop` cuts them, S = `input_size`: points
        as fractions of the side, roll as in the crop."""
        images = np.ascontiguousarray(crops_nhwc_bgr[..., ::-1].transpose(0, 3, 1, 2), dtype=np.float32)
        found = self._session.run(list(self._session.outputs), {"image": images / np.float32(255)})
        faces = dict(zip(self._session.outputs, found, strict=True))
        everything = np.ones((len(images), COUNT), np.float32)
        return DenseFaces(
            faces["landmarks"], faces["pose"], faces["confidence"], faces.get("seen", everything)
        )

    def _look(self, frames: Sequence[UInt8Array], views: Sequence[View]) -> DenseFaces:
        """One call of the network, a frame for each view; its findings in frame pixels."""
        if not views:
            return DenseFaces.none()
        cut = [
            landmark_crop(frame, box, self.input_size, angle)
            for frame, (box, angle) in zip(frames, views, strict=True)
        ]
        seen = self.run(np.stack([crop for crop, _ in cut]))
        points = np.empty_like(seen.points)
        for index, (_, matrix) in enumerate(cut):
            inverse = cv2.invertAffineTransform(matrix.astype(np.float64))
            points[index] = transform_points(seen.points[index] * self.input_size, inverse)
        turns = np.array([[0, 0, math.degrees(angle)] for _, angle in views], dtype=np.float32)
        return DenseFaces(points, seen.pose + turns, seen.confidence, seen.seen)


def _with_lips(frames: Sequence[UInt8Array], faces: DenseFaces) -> DenseFaces:
    """The faces, one of each frame, with their lips along the frame's own edges."""
    for frame, points in zip(frames, faces.points, strict=True):
        points[:] = along_edges(frame, points)
    return faces


def _next_view(landmarks: Float32Array, last: View) -> View:
    """A close view of `landmarks`, or the last view again when the landmarks make no face."""
    try:
        box, angle = close_view(landmarks)
    except ValueError:
        return last
    old, new = max(last[0][2:]), float(box[2])
    return (box, angle) if np.isfinite(box).all() and old / 4 < new < old * 4 else last
