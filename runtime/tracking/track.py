"""One face of a stream: where it was, where it should be by now, and how strongly an effect may show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array, Float64Array, UInt8Array
from aif.runtime.faces.landmarks import DenseFaces, box_from_landmarks, five_of
from aif.runtime.geometry.align import (
    alignment_residual,
    frontality,
    hair_fade,
    similarity_transform,
    yaw_fade,
)
from aif.runtime.tracking.matching import eye_distance
from aif.runtime.tracking.one_euro import OneEuroFilter, smoothing

# The landmarks' filter: cutoffs in hertz, beta in hertz for each eye distance a second, so that the size of a
# face does not matter. Measured on films at 25 and 30 frames/s: at rest the points shake by 2 thousandths of
# the eye distance from frame to frame, and 1 Hz leaves a sixth of that. A head that turns and talks moves by
# 0.3 to 3 eye distances a second; there beta keeps the lag within 2 hundredths, a dancer's within 3, while
# half a pixel of a 64 px crop is 3. The speed's own cutoff lies above the paper's 1 Hz, for many points
# together give a steady speed: with 1 Hz, the same calm costs up to twice the lag.
MIN_CUTOFF, BETA, DERIVATIVE_CUTOFF = 1.0, 20.0, 3.0

# Cutoff in hertz of the yaw, which says how strongly an effect may show, and where hair is looked for.
YAW_CUTOFF = 1.5

# A face that is not seen for so many seconds keeps its strength: a blurred frame, a slip of the detector.
# Where something surely hides it, the effect goes at once, and HURRY times as fast.
HOLD_S, HURRY = 0.1, 3

# A face out of sight moves on for about this many seconds.
COAST_S = 0.2

# Films often show a picture twice, and then nothing of an edit may go on moving either. A face is shown again
# if no more than this differs in its box on average, in grey levels, from the picture that was last looked
# at: repeated pictures lie below 0.75, those of a person who sits still between 0.3 and 3. It is looked at
# again after so many seconds all the same.
REPEATED, REPEATED_S = 0.75, 0.1

# Of a face's box, about so many pixels a side are compared.
COMPARED = 32


@dataclass(frozen=True)
class TrackedFace:
    """A face of a stream, as of one frame.

    Attributes:
        id: its number, kept as long as it is tracked; no number is given twice.
        landmarks: float32 (5, 2) x, y in frame pixels, smoothed.
        box: float32 (4,) left, top, width, height in frame pixels, around the landmarks.
        confidence: the network's probability of a face, 0 to 1; 0 where it is not seen in this frame.
        age: seconds since it was first seen.
        weight: how strong an effect on it should be, 0 to 1: rises and falls gently as faces come, go and
            turn away.
        hair_weight: the same of an effect on its hair, which goes later as the face turns away.
        repeated: whether this frame shows the face just as the one before did.
        points: float32 (221, 2) dense landmarks in frame pixels, smoothed; None without a landmark network.
        yaw: how far the head is turned, in degrees, smoothed; 0 without a landmark network.
        seen: float32 (221,) probability that nothing hides each point, smoothed; None where not known.
    """

    id: int
    landmarks: Float32Array
    box: Float32Array
    confidence: float
    age: float
    weight: float
    hair_weight: float
    repeated: bool = False
    points: Float32Array | None = None
    yaw: float = 0.0
    seen: Float32Array | None = None


@dataclass(frozen=True)
class Sight:
    """A face as found in one frame: (221, 2) or, of a detector alone, (5, 2) landmarks in frame pixels; yaw
    in degrees; (221,) how surely each point is seen.
    """

    points: npt.NDArray[np.floating]
    confidence: float
    yaw: float | None = None
    seen: Float32Array | None = None

    @staticmethod
    def each(faces: DenseFaces) -> list[Sight]:
        """What the landmark network found, face by face."""
        scalars = (faces.confidence.tolist(), faces.pose[:, 0].tolist())
        return [Sight(*each) for each in zip(faces.points, *scalars, faces.seen, strict=True)]


class FaceTrack:
    """One face's past: when it was first and last seen, whether the last frame shows it (`sighted`), and
    whether its place surely shows something else (`gone`).
    """

    def __init__(self, number: int, time_s: float) -> None:
        self.id = number
        self.first_s = self.seen_s = time_s
        self.sighted = self.gone = self.repeated = False
        self.confidence = self.weight = self.hair_weight = 0.0
        self._filter = OneEuroFilter(MIN_CUTOFF, BETA, DERIVATIVE_CUTOFF)
        self._raw: Float64Array = np.zeros((5, 2))
        self._calm: Float64Array = np.zeros((5, 2))
        self._velocity: Float64Array = np.zeros(2)
        self._yaw: float | None = None
        self._seen: Float32Array | None = None
        self._looked_s = time_s
        self._picture: tuple[tuple[slice, slice], npt.NDArray[np.int16]] | None = None

    def again(self, frame_hwc_bgr: UInt8Array, time_s: float) -> Sight | None:
        """What was seen last, if the frame at `time_s` shows the face just so; else None: look."""
        self.repeated = False
        if not self.sighted or self._picture is None or time_s - self._looked_s > REPEATED_S:
            return None
        where, picture = self._picture
        self.repeated = float(np.abs(frame_hwc_bgr[where] - picture).mean()) <= REPEATED
        return Sight(self._raw, self.confidence, self._yaw, self._seen) if self.repeated else None

    def go_on(self, sight: Sight | None, time_s: float, frame_hwc_bgr: UInt8Array) -> None:
        """Take in what the frame at `time_s` shows of the face, None for nothing."""
        if self.repeated and sight is not None:
            self.seen_s = time_s
            return
        if sight is None:
            self.sighted, self.confidence = False, 0.0
            return
        if not (self.sighted or self.hair_weight):  # nothing of it is shown: it may come back anywhere
            self._filter.reset()
            self._yaw = self._seen = None
        self._raw = sight.points.astype(np.float64)
        self._calm = self._filter(self._raw, time_s, eye_distance(self._raw))
        self._velocity = self._filter.derivative.mean(axis=0)
        share = smoothing(YAW_CUTOFF, time_s - self._looked_s)
        if sight.yaw is not None:
            last = sight.yaw if self._yaw is None else self._yaw
            self._yaw = last + share * (sight.yaw - last)
        if sight.seen is not None:
            before = sight.seen if self._seen is None else self._seen
            self._seen = before + np.float32(share) * (sight.seen - before)
        self.sighted, self.gone, self.confidence = True, False, sight.confidence
        self.seen_s = self._looked_s = time_s
        x, y, width, height = box_from_landmarks(self._raw)
        step = max(1, int(width) // COMPARED)
        where = (
            slice(max(0, int(y)), max(0, int(y + height)), step),
            slice(max(0, int(x)), max(0, int(x + width)), step),
        )
        picture = frame_hwc_bgr[where].astype(np.int16)
        self._picture = (where, picture) if picture.size else None

    def place(self, time_s: float, smooth: bool = True) -> Float64Array:
        """Where the landmarks should be at `time_s`: all of them a little further on the face's way."""
        reach = COAST_S * -math.expm1(-(time_s - self.seen_s) / COAST_S)
        return (self._calm if smooth else self._raw) + self._velocity * reach

    def fade(self, time_s: float, step_s: float, fade_s: float) -> None:
        """Let the weights move towards what pose and sight allow, by 1 in `fade_s` seconds; 0 = at once."""
        hurry = HURRY if self.gone else 1
        most = step_s * hurry / fade_s if fade_s else math.inf
        seen = not self.gone and time_s - self.seen_s <= HOLD_S
        aims = self._allowed() if seen else (0.0, 0.0)
        weights = (self.weight, self.hair_weight)
        self.weight, self.hair_weight = (
            weight + min(max(aim - weight, -most), most) for weight, aim in zip(weights, aims, strict=True)
        )

    def _allowed(self) -> tuple[float, float]:
        """How strongly face and hair may be edited as the face is turned: 1 = frontal, 0 = in profile."""
        if self._yaw is not None:
            return yaw_fade(self._yaw), hair_fade(self._yaw)
        five = five_of(self._calm)
        frontal = frontality(alignment_residual(five, similarity_transform(five, 128), 128))
        return frontal, frontal

    def face(self, time_s: float, smooth: bool) -> TrackedFace:
        """The face as of `time_s`."""
        points = self.place(time_s, smooth).astype(np.float32)
        five = five_of(points)
        return TrackedFace(
            id=self.id,
            landmarks=five,
            box=box_from_landmarks(five),
            confidence=self.confidence,
            age=time_s - self.first_s,
            weight=self.weight,
            hair_weight=self.hair_weight,
            repeated=self.repeated,
            points=None if len(points) == len(five) else points,
            yaw=self._yaw or 0.0,
            seen=self._seen,
        )
