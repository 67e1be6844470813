"""Disturbed photos: each disturbance does what its name says, and what fails under it counts as failing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from aif.runtime.errors import DataError, UnknownAttributeError
from aif.runtime.faces.detect import Detection
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry.align import template, transform_points
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.evaluation.disturbances import DISTURBANCES, STAYS, Disturbance, turned_away
from aif.train.evaluation.report import to_json
from aif.train.evaluation.robustness import measure_robustness, to_markdown

POINTS = (template(128) / 2 + 40).astype(np.float32)
BY_NAME = {each.name: each.change for each in DISTURBANCES}


def photo(level: int = 0) -> np.ndarray:
    """A grey picture with a bright dot on each landmark; `level` raises the blue of the mouth."""
    image = np.full((150, 150, 3), 100, dtype=np.uint8)
    for x, y in POINTS:
        cv2.circle(image, (round(x), round(y)), 2, (100, 255, 255), -1)
    image[88:94, 60:84, 0] = level
    return image


def disturbed(name: str) -> tuple[np.ndarray, np.ndarray]:
    return BY_NAME[name](photo(), POINTS, np.random.default_rng(0))


@pytest.mark.parametrize("name", list(BY_NAME))
def test_landmarks_move_with_the_pixels(name: str) -> None:
    image, matrix = disturbed(name)
    assert image.dtype == np.uint8 and image.shape[2] == 3
    same, _ = disturbed(name)
    assert np.array_equal(image, same)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if name.startswith("face of"):
        size = box_from_landmarks(transform_points(POINTS, matrix))[2]
        assert size == pytest.approx(int(name.split()[2]), rel=0.02)
    green = cv2.GaussianBlur(image[:, :, 1].astype(np.float32), (0, 0), max(scale, 0.5))
    for x, y in transform_points(POINTS[:3], matrix):
        reach = 6 * scale
        top, left = max(0, round(y - reach)), max(0, round(x - reach))
        around = green[top : round(y + reach) + 1, left : round(x + reach) + 1]
        row, column = np.unravel_index(around.argmax(), around.shape)
        # Noise and darkness leave the dot the brightest spot, give or take two of the photo's pixels.
        assert np.hypot(left + column - x, top + row - y) <= 2.5 * scale + 0.5


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("as it is", lambda p: np.array_equal(p, photo())),
        ("blur, 0.1 eye distances", lambda p: p.std() < 0.8 * photo().std()),
        ("noise, 30 levels", lambda p: 28 < np.std(p[120:, :, 0].astype(float)) < 32),
        ("JPEG 10", lambda p: 0 < np.abs(p.astype(int) - photo()).mean() < 6),
        ("10% of the light", lambda p: 9 < p[120:].mean() < 11),
        ("mouth hidden", lambda p: (p[84:98, 62:83] == 120).all() and (p[:70] == photo()[:70]).all()),
        ("face of 40 px", lambda p: p.shape[0] < 150),
        ("face of 800 px", lambda p: p.shape[0] > 1000),
    ],
)
def test_each_does_what_it_says(name: str, check: Any) -> None:
    assert check(disturbed(name)[0])


@pytest.mark.parametrize(("shift", "expected"), [(0, 0.0), (9, 0.5), (-9, 0.5)])
def test_turned_away(shift: float, expected: float) -> None:
    points = POINTS + np.array([[0, 0], [0, 0], [shift, 0], [0, 0], [0, 0]], dtype=np.float32)
    assert turned_away(points) == pytest.approx(expected, abs=0.01)


class Photos(FaceDataset):
    """Photos whose mouths are blue where they smile; the last cannot be read."""

    name, attributes, fingerprint = "photos", ("Smiling",), "0" * 64

    def __init__(self, labels: list[int]) -> None:
        self.labels = np.array([[value] for value in labels], dtype=np.uint8)

    def image(self, index: int) -> np.ndarray:
        if index == len(self) - 1:
            raise CorruptImageError(self.file_name(index))
        return np.ascontiguousarray(photo(250 * int(self.labels[index, 0]))[:, :, ::-1])

    def file_name(self, index: int) -> str:
        return f"{index}.png"


class BlueMouth:
    """Sees a smile where the crop's mouth is blue."""

    attributes = ("Smiling",)
    accuracy = {"Smiling": 1.0}  # noqa: RUF012

    def predict(self, crops_nchw: torch.Tensor, /) -> torch.Tensor:
        return (crops_nchw[:, 2, 98:104, 58:70].mean(dim=(1, 2)) > 0.5).float()[:, None]


class Dots:
    """Finds the face where it always is; on dark photos it finds nothing."""

    def detect(self, frame: np.ndarray) -> list[Detection]:
        if frame.mean() < 60:
            return []
        return [Detection(box_from_landmarks(POINTS), POINTS, 0.9)]


@dataclass
class Painter:
    """An editor that paints the mouth, or does nothing."""

    works: bool = True
    attributes = ("Smiling",)

    def detect(self, frame: np.ndarray) -> list[Detection]:
        return Dots().detect(frame)

    def edit(self, frame: np.ndarray, edits: dict[str, float], detections: list[Detection]) -> Any:
        @dataclass
        class Result:
            image_hwc_bgr: np.ndarray

        out = frame.copy()
        if self.works:
            out[88:94, 60:84, 0] = 250 * edits["Smiling"]
        return Result(out)


def dark(image: np.ndarray, _: Any, __: Any) -> Any:
    return image // 4, STAYS


def moved(image: np.ndarray, _: Any, __: Any) -> Any:
    """Fifteen pixels to the right: a detector that finds the old place is off."""
    matrix = np.array([[1, 0, 15], [0, 1, 0]], dtype=np.float32)
    return np.roll(image, 15, axis=1), matrix


ROWS = (DISTURBANCES[0], Disturbance("dark", dark), Disturbance("moved", moved))


def measured(editor: Painter, labels: list[int], **options: Any) -> dict[str, Any]:
    scores = measure_robustness(
        editor, Photos(labels), BlueMouth(), Dots(), "Smiling", disturbances=ROWS, **options
    )  # type: ignore[arg-type]
    return {score.name: score for score in scores}


def test_what_fails_is_counted() -> None:
    scores = measured(Painter(), [0, 1, 1, 0, 0])
    counts = {
        name: [(s.successes, s.n) for s in (score.found, score.aligned, score.success, score.unedited)]
        for name, score in scores.items()
    }
    assert counts == {
        "as it is": [(4, 4), (4, 4), (4, 4), (4, 4)],
        # Nothing is found: a failure, though the evaluator no longer sees the two smiles.
        "dark": [(0, 4), (0, 4), (0, 4), (2, 4)],
        "moved": [(4, 4), (0, 4), (0, 4), (4, 4)],
        "half profiles": [(0, 0)] * 4,
    }
    assert measured(Painter(works=False), [0, 1, 1])["as it is"].success.successes == 0
    assert measured(Painter(), [0, 1, 1, 0], faces=2)["as it is"].found.n == 2
    table = to_markdown(list(scores.values()))
    assert "| as it is | 4 | 100.0% [" in table and "| half profiles | 0 | none |" in table
    assert json.loads(to_json(list(scores.values())))[1]["found"]["n"] == 4


def test_refuses() -> None:
    photos = Photos([1])  # the only one cannot be read
    with pytest.raises(DataError, match="No photo"):
        measure_robustness(Painter(), photos, BlueMouth(), Dots(), "Smiling")  # type: ignore[arg-type]
    with pytest.raises(UnknownAttributeError, match="Bald"):
        measure_robustness(Painter(), photos, BlueMouth(), Dots(), "Bald")  # type: ignore[arg-type]
