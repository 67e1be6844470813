"""Five landmarks and a face probability from a face box, by a small network that comes in the bundle.

The training of that network cuts its crops with `landmark_crop`, and starts its second pass from
`box_from_landmarks`: both stand here once, with fixed constants, so that training and use see the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from aif.runtime.align import Float32Array, UInt8Array, similarity_transform, transform_points, warp_crop
from aif.runtime.bundle import Bundle
from aif.runtime.errors import BundleError
from aif.runtime.sessions import Session

# Side of the square crop around a face box, in units of the box's larger side.
CROP_SCALE = 1.5

# The usual box of a frontal face in the 128 px template: a square of this side around this centre (x, y).
# It is the median box of OpenCV's frontal Haar cascades on aligned faces; YuNet's boxes are as high and
# somewhat narrower.
TEMPLATE_BOX_CENTRE = (64.0, 74.0)
TEMPLATE_BOX_SIDE = 96.0

# What the network finds depends a little on where it looks. A face that is followed is looked at again, from
# where it was found, until its points stay within this share of the box's side, but no oftener than this.
SETTLED, MOST_LOOKS = 0.02, 5

# A face box, and how far the face in it is turned clockwise, in radians.
View = tuple[npt.ArrayLike, float]


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
        angle: how far the face is turned clockwise as seen in the frame, in radians; the crop is turned
            back by it.

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
    """The box that a face detector would draw around five landmarks: float32 (4,) left, top, width, height.

    The landmarks are fitted to the 128 px template by a similarity; the box is an upright square around the
    place of `TEMPLATE_BOX_CENTRE`, its side the fitted length of `TEMPLATE_BOX_SIDE`.

    Args:
        landmarks: (5, 2) x, y in pixels, in the template's order.

    Raises:
        ValueError: the landmarks are not five finite points, or all lie in one point.
    """
    return _box_and_angle(landmarks)[0]


def landmark_angle(landmarks: npt.ArrayLike) -> float:
    """How far a face is turned clockwise as seen in the image, in radians, from the fit to the template.

    Raises:
        ValueError: the landmarks are not five finite points, or all lie in one point.
    """
    return _box_and_angle(landmarks)[1]


def _box_and_angle(landmarks: npt.ArrayLike) -> tuple[Float32Array, float]:
    """`box_from_landmarks` and `landmark_angle`, from one fit."""
    matrix = similarity_transform(landmarks, 128)
    (cos, back, shift_x), (sin, _, shift_y) = matrix.astype(np.float64).tolist()
    # The inverse of a similarity is its transpose over the square of its scale.
    square = cos * cos + sin * sin
    x, y = TEMPLATE_BOX_CENTRE[0] - shift_x, TEMPLATE_BOX_CENTRE[1] - shift_y
    centre_x, centre_y = (cos * x + sin * y) / square, (back * x + cos * y) / square
    side = TEMPLATE_BOX_SIDE / math.sqrt(square)
    box = np.array([centre_x - side / 2, centre_y - side / 2, side, side], dtype=np.float32)
    return box, -math.atan2(sin, cos)


class LandmarkNet:
    """The landmark network of a bundle. Calls may come from several threads at once.

    Attributes:
        input_size: side of its crop in pixels.
    """

    def __init__(self, source: Bundle | bytes, threads: int | None = None) -> None:
        """Load the network on the CPU, where one face takes it about a millisecond.

        Args:
            source: a bundle that brings the network, or the ONNX bytes of one.
            threads: threads of one call; None = one a core.

        Raises:
            BundleError: the bundle brings none, or the graph is not one.
        """
        graph = source if isinstance(source, bytes) else source.landmarks_bytes()
        self._session = Session(graph, "cpu", threads, "landmark network")
        image = self._session.inputs.get("image")
        size = image[-1] if image else None
        fits = (
            self._session.inputs == {"image": (None, 3, size, size)}
            and self._session.outputs == {"landmarks": (None, 5, 2), "confidence": (None,)}
            and size is not None
        )
        if not fits or size is None:
            raise BundleError(
                f"The landmark network takes {self._session.inputs} and gives {self._session.outputs}, "
                "where image Nx3xSxS, landmarks Nx5x2 and confidence N are needed.",
                "Export the bundle again with aif-export.",
            )
        self.input_size = size

    def refine(
        self, frame_hwc_bgr: UInt8Array, box_xywh: npt.ArrayLike, passes: int = 2
    ) -> tuple[Float32Array, float]:
        """Find the five landmarks of the face in one box: `refine_all` for a single box."""
        landmarks, confidence = self.refine_all(frame_hwc_bgr, [box_xywh], passes)
        return landmarks[0], float(confidence[0])

    def refine_all(
        self, frame_hwc_bgr: UInt8Array, boxes_xywh: Sequence[npt.ArrayLike], passes: int = 2
    ) -> tuple[Float32Array, Float32Array]:
        """Find the five landmarks of the face in each box, all boxes in one call of the network.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3).
            boxes_xywh: face boxes in frame pixels, as a detector gives them.
            passes: how often to look: each further pass cuts its crop around the landmarks of the one before,
                turned upright by them.

        Returns:
            float32 (N, 5, 2) landmarks in frame pixels and float32 (N,) probabilities that the box shows a
            face, as of the last pass.

        Raises:
            ValueError: a box is empty or not finite, or passes is below 1.
        """
        if passes < 1:
            raise ValueError(f"passes must be at least 1, not {passes}")
        landmarks = np.zeros((len(boxes_xywh), 5, 2), dtype=np.float32)
        confidence = np.zeros(len(boxes_xywh), dtype=np.float32)
        if not len(boxes_xywh):
            return landmarks, confidence
        views: list[View] = [(box, 0.0) for box in boxes_xywh]
        for number in range(passes):
            if number:
                views = [_next_view(points, view) for points, view in zip(landmarks, views, strict=True)]
            landmarks, confidence = self._look(frame_hwc_bgr, views)
        return landmarks, confidence

    def follow(
        self, frame_hwc_bgr: UInt8Array, places: Sequence[npt.ArrayLike]
    ) -> tuple[Float32Array, Float32Array]:
        """Find the five landmarks of faces that are nearly known: those of the frame before.

        A face that rests takes one look. One that has moved is looked at again until its points stay, so that
        they depend on the frame and not on the way there: a face that stops, stops.

        Args:
            frame_hwc_bgr: uint8 (H, W, 3).
            places: (5, 2) landmarks in frame pixels about where the faces should be.

        Returns:
            As `refine_all`.

        Raises:
            ValueError: landmarks are not five finite points, or all lie in one point.
        """
        landmarks = np.array(places, dtype=np.float32).reshape(-1, 5, 2)
        confidence = np.zeros(len(landmarks), dtype=np.float32)
        views: list[View] = [_box_and_angle(points) for points in landmarks]
        moving = np.arange(len(landmarks))
        for number in range(MOST_LOOKS):
            if not len(moving):
                break
            if number:
                for index in moving:
                    views[index] = _next_view(landmarks[index], views[index])
            found, confidence[moving] = self._look(frame_hwc_bgr, [views[index] for index in moving])
            moved = np.sqrt(((found - landmarks[moving]) ** 2).sum(axis=2).mean(axis=1))
            sides = np.array([np.asarray(views[index][0])[2] for index in moving])
            landmarks[moving] = found
            moving = moving[moved > SETTLED * sides]
        return landmarks, confidence

    def _look(self, frame: UInt8Array, views: Sequence[View]) -> tuple[Float32Array, Float32Array]:
        """One call of the network: landmarks (N, 5, 2) in frame pixels, and confidence (N,)."""
        cut = [landmark_crop(frame, box, self.input_size, angle) for box, angle in views]
        crops = np.stack([crop[:, :, ::-1].transpose(2, 0, 1) for crop, _ in cut])
        fractions, confidence = self._session.run(
            ["landmarks", "confidence"], {"image": crops.astype(np.float32) / np.float32(255)}
        )
        landmarks = np.empty((len(views), 5, 2), dtype=np.float32)
        for index, (_, matrix) in enumerate(cut):
            inverse = cv2.invertAffineTransform(matrix.astype(np.float64))
            landmarks[index] = transform_points(fractions[index] * self.input_size, inverse)
        return landmarks, confidence


def _next_view(landmarks: Float32Array, last: View) -> View:
    """Box and angle around `landmarks`, or the last view again when the landmarks make no face."""
    try:
        box, angle = _box_and_angle(landmarks)
    except ValueError:
        return last
    old, new = max(np.asarray(last[0])[2:]), float(box[2])
    return (box, angle) if np.isfinite(box).all() and old / 4 < new < old * 4 else last
