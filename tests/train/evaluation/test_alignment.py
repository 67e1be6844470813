"""Detectors against a reference: found, near, aligned and false faces are each counted as what they are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry.align import TEMPLATE_128
from aif.train.evaluation.alignment import alignment_error, measure_alignment

Points = npt.NDArray[np.float32]
EYES = 36.0  # distance of the template's eyes in pixels
FRAME = np.zeros((400, 600, 3), dtype=np.uint8)


def detection(points: npt.ArrayLike) -> Detection:
    landmarks = np.asarray(points, dtype=np.float32)
    return Detection(box_from_landmarks(landmarks), landmarks, 0.9)


class Fixed:
    def __init__(self, *faces: npt.ArrayLike) -> None:
        self.faces = [detection(points) for points in faces]

    def detect(self, frame_hwc_bgr: npt.NDArray[np.uint8]) -> list[Detection]:
        return self.faces


def shifted(points: Points, x: float, y: float) -> Points:
    return points + np.array([x, y], dtype=np.float32)


LARGE, SMALL = TEMPLATE_128 * 2, shifted(TEMPLATE_128, 400, 200)


@pytest.mark.parametrize(
    ("faces", "found", "aligned", "false_faces", "nme"),
    [
        ([LARGE, SMALL], 2, 2, 0, 0.0),
        ([], 0, 0, 0, math.nan),
        ([LARGE], 1, 1, 0, 0.0),
        ([shifted(LARGE, 0.05 * 2 * EYES, 0)], 1, 1, 0, 0.05),  # a little aside: still a good crop
        ([shifted(LARGE, 0.2 * 2 * EYES, 0)], 1, 0, 0, 0.2),  # found, but the crop lies a fifth beside
        ([shifted(TEMPLATE_128, 10, 250)], 0, 0, 1, math.nan),  # no face there
        ([LARGE, shifted(LARGE, 0, 1)], 1, 1, 0, 0.0),  # twice the same face is neither two nor false
    ],
)
def test_counts(faces: list[Points], found: int, aligned: int, false_faces: int, nme: float) -> None:
    score = measure_alignment({"d": Fixed(*faces)}, Fixed(SMALL, LARGE), [FRAME])["d"]
    assert (score.found.successes, score.found.n) == (found, 2)
    assert (score.aligned.successes, score.aligned.n) == (aligned, 2)
    assert score.false_faces == false_faces
    assert score.nme == pytest.approx(nme, abs=1e-5, nan_ok=True)
    assert score.nme_median == pytest.approx(nme, abs=1e-5, nan_ok=True)
    assert score.images == 1


def test_the_largest_face_alone() -> None:
    detectors = {"large": Fixed(LARGE), "small": Fixed(SMALL)}
    scores = measure_alignment(detectors, Fixed(SMALL, LARGE), [FRAME, FRAME], largest_only=True)
    assert (scores["large"].found.successes, scores["large"].found.n) == (2, 2)
    assert (scores["small"].found.successes, scores["small"].found.n) == (0, 2)
    assert scores["small"].false_faces == 0


def test_nothing_to_look_at() -> None:
    score = measure_alignment({"d": Fixed(LARGE)}, Fixed(), [FRAME])["d"]
    assert (score.found.n, score.false_faces) == (0, 1)
    assert measure_alignment({"d": Fixed()}, Fixed(), [])["d"].images == 0
    assert measure_alignment({}, Fixed(LARGE), [FRAME]) == {}


@pytest.mark.parametrize(
    ("move", "error"),
    [
        (lambda p: p, 0.0),
        (lambda p: shifted(p, 0.1 * EYES, 0), 0.1),
        (lambda p: shifted(p * 3, 50, 20), 0.0),  # where and how large the face is makes no difference
    ],
)
def test_alignment_error(move: Callable[[Points], Points], error: float) -> None:
    reference = shifted(TEMPLATE_128 * 3, 50, 20) if move(TEMPLATE_128)[0, 0] > 100 else TEMPLATE_128
    assert alignment_error(move(TEMPLATE_128), reference) == pytest.approx(error, abs=1e-4)


def test_alignment_error_sees_turns() -> None:
    turn = np.deg2rad(10)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    assert alignment_error(TEMPLATE_128 @ rotation, TEMPLATE_128) > 0.1
