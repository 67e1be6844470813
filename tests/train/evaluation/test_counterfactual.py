"""Edits of drawn faces against the right answer: right is zero, idle is idle, and damage elsewhere shows."""

import math

import numpy as np
import pytest

from aif.runtime.errors import UnknownAttributeError
from aif.runtime.model.model import Decoded, Encoding
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.counterfactual import measure_counterfactual

NAMES = ("Eyeglasses", "Wearing_Hat")
SIZE = 32
FACES = SyntheticFaces(12, SIZE, seed=5, attributes=NAMES)


def drawn(index, glasses, hat):
    picture = FACES.counterfactual(index, dict(zip(NAMES, (int(glasses), int(hat)), strict=True)))
    return picture.transpose(2, 0, 1).astype(np.float32) / 255


KEYS = [(i, g, h) for i in range(len(FACES)) for g in (0, 1) for h in (0, 1)]
PICTURES = np.stack([drawn(*key) for key in KEYS])


class Painter:
    """A model that knows all faces by heart; `finish` makes its picture of the source, the goal, whether they
    differ, and the values asked for."""

    attributes = NAMES
    image_size = SIZE

    def __init__(self, finish):
        self.finish = finish

    def encode(self, crops_nchw, /):
        crops = np.asarray(crops_nchw)
        nearest = ((crops[:, None] - PICTURES[None]) ** 2).mean(axis=(2, 3, 4)).argmin(axis=1)
        found = np.array([KEYS[k] for k in nearest]).reshape(-1, 3)
        return Encoding(found.astype(np.float32), found[:, 1:].astype(np.float32))

    def decode(self, encoding, y, /):
        made = []
        for (index, *own), values in zip(encoding.z, np.asarray(y), strict=True):
            source, goal = drawn(int(index), *own), drawn(int(index), *(v > 0.5 for v in values))
            made.append(self.finish(source, goal, values))
        return Decoded(np.stack(made))


def measured(finish, name, **options):
    return measure_counterfactual(Painter(finish), FACES, name, **options)


@pytest.mark.parametrize("name", NAMES)
def test_the_right_answer_scores_zero_and_doing_nothing_does_not(name):
    found = measured(lambda source, goal, y: goal, name)
    for side, value in (("on", 1), ("off", 0)):
        rows = np.flatnonzero(FACES.labels[:, NAMES.index(name)] != value)
        means = {what: [found[side, what, w] for w in ("inside", "outside")] for what in ("edit", "nothing")}
        assert [mean.mean for mean in means["edit"]] == [0, 0]
        assert found[side, "floor", "inside"].mean == found[side, "floor", "outside"].mean == 0
        errors = []
        for index in rows.tolist():
            goal = FACES.counterfactual(index, {name: value}).astype(float) / 255
            difference = np.abs(goal - FACES.image(index).astype(float) / 255)
            errors.append(difference[(difference > 0).any(axis=2)].mean())
        inside, outside = means["nothing"]
        assert inside.mean == pytest.approx(np.mean(errors), rel=1e-5) and outside.mean == 0
        assert inside.n == outside.n == len(rows) > 2


TENTH, FIFTH = np.float32(0.1), np.float32(0.2)


@pytest.mark.parametrize(
    ("finish", "edit", "floor"),
    [
        (lambda source, goal, y: goal + TENTH, 0.1, 0.1),
        # damage by the edit alone is not in the floor
        (lambda s, goal, y: goal if np.array_equal(s, goal) else goal - FIFTH, 0.2, 0.0),
        # what has diverged does not vanish from the mean
        (lambda source, goal, y: goal * np.float32("nan"), math.nan, math.nan),
    ],
)
def test_ways_to_be_wrong(finish, edit, floor):
    found = measured(finish, "Eyeglasses")
    for side in ("on", "off"):
        for where in ("inside", "outside"):
            assert found[side, "edit", where].mean == pytest.approx(edit, rel=1e-4, nan_ok=True)
            assert found[side, "floor", where].mean == pytest.approx(floor, rel=1e-4, nan_ok=True)
    bare = [int(i) for i in np.flatnonzero(FACES.labels[:, 0] == 0)[:2]]  # no face allows the edit
    assert {side for side, _, _ in measured(finish, "Eyeglasses", indices=bare)} == {"on"}


def test_refuses():
    with pytest.raises(UnknownAttributeError, match="Eyeglases"):
        measured(lambda source, goal, y: goal, "Eyeglases")
    with pytest.raises(UnknownAttributeError, match="synthetic faces' labels"):
        idle = Painter(lambda source, goal, y: goal)
        measure_counterfactual(idle, SyntheticFaces(2, SIZE, attributes=NAMES[:1]), "Wearing_Hat")
