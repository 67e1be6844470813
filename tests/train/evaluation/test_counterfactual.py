"""Edits of drawn faces against the right answer: right is zero, idle is idle, and damage elsewhere shows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import DataError, UnknownAttributeError
from aif.runtime.model.model import Decoded, Encoding
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.counterfactual import CounterfactualScore, measure_counterfactual, region_errors

Finish = Callable[[Float32Array, Float32Array, Float32Array], Float32Array]
NAMES = ("Eyeglasses", "Wearing_Hat")
SIZE = 32
FACES = SyntheticFaces(12, SIZE, seed=5, attributes=NAMES)


def drawn(index: int, glasses: float, hat: float) -> Float32Array:
    picture = FACES.counterfactual(index, dict(zip(NAMES, (int(glasses), int(hat)), strict=True)))
    return picture.transpose(2, 0, 1).astype(np.float32) / 255


KEYS = [(i, g, h) for i in range(len(FACES)) for g in (0, 1) for h in (0, 1)]
PICTURES = np.stack([drawn(*key) for key in KEYS])


class Painter:
    """A model that knows all faces by heart; `finish` makes its picture of the source, the goal, whether they
    differ, and the values asked for."""

    attributes = NAMES
    image_size = SIZE

    def __init__(
        self,
        finish: Finish,
    ) -> None:
        self.finish = finish

    def encode(self, crops_nchw: npt.ArrayLike, /) -> Encoding:
        crops = np.asarray(crops_nchw)
        nearest = ((crops[:, None] - PICTURES[None]) ** 2).mean(axis=(2, 3, 4)).argmin(axis=1)
        found = np.array([KEYS[k] for k in nearest]).reshape(-1, 3)
        return Encoding(found.astype(np.float32), found[:, 1:].astype(np.float32))

    def decode(self, encoding: Encoding, y: npt.ArrayLike, /) -> Decoded:
        made = []
        for (index, *own), values in zip(encoding.z, np.asarray(y), strict=True):
            source, goal = drawn(int(index), *own), drawn(int(index), *(v > 0.5 for v in values))
            made.append(self.finish(source, goal, values))
        return Decoded(np.stack(made))


def measured(finish: Finish, **options: object) -> dict[tuple[str, str], CounterfactualScore]:
    scores = measure_counterfactual(Painter(finish), FACES, batch_size=5, **options)  # type: ignore[arg-type]
    return {(score.attribute, score.direction): score for score in scores}


def figures(error: object) -> list[float]:
    return [getattr(error, name).mean for name in ("inside", "outside", "inside_mse", "outside_mse")]


def test_the_right_answer_scores_zero() -> None:
    scores = measured(lambda source, goal, y: goal)
    assert list(scores) == [(name, side) for name in NAMES for side in ("on", "off")]
    for (name, side), score in scores.items():
        labels = FACES.labels[:, NAMES.index(name)] > 0
        rows = np.flatnonzero(labels == (side == "off"))
        assert score.edit.inside.n == score.edit.outside.n == score.floor.inside.n == len(rows) > 2
        assert figures(score.edit) == figures(score.floor) == [0, 0, 0, 0]
        # doing nothing is wrong inside, right outside
        assert score.nothing.inside.mean > 0.05
        assert score.nothing.outside.mean == score.nothing.outside_mse.mean == 0
        regions = [FACES.changed_region(int(row), name).mean() for row in rows]
        assert score.region.mean == pytest.approx(np.mean(regions))


def test_nothing_is_worked_out_face_by_face() -> None:
    score = measured(lambda source, goal, y: goal)["Eyeglasses", "on"]
    values = []
    for index in np.flatnonzero(FACES.labels[:, 0] == 0):
        off, on = (FACES.counterfactual(int(index), {"Eyeglasses": v}).astype(float) / 255 for v in (0, 1))
        values.append(np.abs(on - off)[FACES.changed_region(int(index), "Eyeglasses")].mean())
    assert score.nothing.inside.mean == pytest.approx(np.mean(values), rel=1e-5)
    reach = 1.959964 * np.std(values, ddof=1) / math.sqrt(len(values))
    assert score.nothing.inside.high - score.nothing.inside.mean == pytest.approx(reach, rel=1e-4)


TENTH, FIFTH = np.float32(0.1), np.float32(0.2)


@pytest.mark.parametrize(
    ("finish", "edit", "floor"),  # absolute error in and outside the region, squared error in and outside
    [
        (lambda source, goal, y: goal + TENTH, [0.1, 0.1, 0.01, 0.01], [0.1, 0.1, 0.01, 0.01]),
        # damage by the edit alone is not in the floor
        (
            lambda s, goal, y: goal if np.array_equal(s, goal) else goal - FIFTH,
            [0.2, 0.2, 0.04, 0.04],
            [0] * 4,
        ),
        (lambda source, goal, y: source, None, [0] * 4),  # as good as nothing
        # what has diverged does not vanish from the mean
        (lambda source, goal, y: goal * np.float32("nan"), [math.nan] * 4, [math.nan] * 4),
    ],
)
def test_ways_to_be_wrong(finish: Finish, edit: list[float] | None, floor: list[float]) -> None:
    for score in measured(finish).values():
        wanted = figures(score.nothing) if edit is None else edit
        assert figures(score.edit) == pytest.approx(wanted, rel=1e-4, nan_ok=True)
        assert figures(score.floor) == pytest.approx(floor, rel=1e-4, nan_ok=True)
        assert score.nothing.inside.mean > 0.05 and score.edit.inside.n > 2
    bare = [int(i) for i in np.flatnonzero(FACES.labels[:, 0] == 0)[:2]]  # no face allows the edit
    empty = measured(finish, indices=bare, attributes=["Eyeglasses"])["Eyeglasses", "off"]
    assert empty.edit.inside.n == empty.nothing.outside.n == empty.region.n == 0
    assert math.isnan(empty.edit.inside.mean)


def test_strength_and_other_attributes_reach_the_decoder() -> None:
    asked: list[list[float]] = []

    def noted(source: Float32Array, goal: Float32Array, y: Float32Array) -> Float32Array:
        asked.append([float(v) for v in y])
        return goal

    index = int(np.flatnonzero((FACES.labels == [0, 1]).all(axis=1))[0])
    measured(noted, indices=[index], attributes=["Eyeglasses"], strength=1.3)
    assert asked == [[pytest.approx(1.3), 1.0], [1.0, 1.0]]  # the edit, then the floor from the truth
    asked.clear()
    measured(noted, indices=[index], attributes=["Wearing_Hat"], strength=1.3)
    assert asked[0] == [0.0, pytest.approx(-0.3)]


def test_region_errors_by_hand() -> None:
    truths = np.zeros((3, 3, 2, 2), dtype=np.float32)
    pictures = truths.copy()
    pictures[0, :, 0, 0] = (0.3, 0.0, 0.6)
    pictures[1] = 0.5
    regions = np.zeros((3, 2, 2), dtype=bool)
    regions[0, 0] = True  # two of four pixels
    regions[2] = True
    found = region_errors(pictures, truths, regions)
    assert found[0] == pytest.approx([0.15, 0, 0.075, 0])
    assert found[1, [1, 3]] == pytest.approx([0.5, 0.25])
    assert np.isnan(found[1, [0, 2]]).all()  # no pixel inside
    assert found[2, [0, 2]].tolist() == [0, 0] and np.isnan(found[2, [1, 3]]).all()
    assert region_errors(pictures[:0], truths[:0], regions[:0]).shape == (0, 4)
    with pytest.raises(ValueError, match="do not fit"):
        region_errors(pictures[:2], truths, regions)
    with pytest.raises(ValueError, match="do not fit"):
        region_errors(pictures, truths, regions[:, :1])


def test_refuses() -> None:
    with pytest.raises(UnknownAttributeError, match="Eyeglases"):
        measured(lambda source, goal, y: goal, attributes=["Eyeglases"])
    with pytest.raises(DataError, match="no synthetic face"):
        measured(lambda source, goal, y: goal, indices=[])
    idle = Painter(lambda source, goal, y: goal)
    with pytest.raises(DataError, match="image_size=32"):
        measure_counterfactual(idle, SyntheticFaces(2, 64, attributes=NAMES))
    with pytest.raises(UnknownAttributeError, match="synthetic faces' labels"):
        measure_counterfactual(idle, SyntheticFaces(2, SIZE, attributes=NAMES[:1]))
