"""Edits stay where the attribute is."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_face import made_up_frame

from aif.runtime.editing.shape.region import Regions, region_share
from aif.runtime.geometry import points as dense

FRAME = made_up_frame()


@pytest.mark.parametrize(
    ("parts", "within", "beyond"),
    [
        (("nose",), dense.NOSE, (dense.LEFT_BROW, dense.FACE_OVAL)),
        (("brows",), dense.RIGHT_BROW, (dense.OUTER_LIP, slice(10, 27))),
        (("mouth",), dense.INNER_LIP, (dense.LEFT_EYE, dense.RIGHT_BROW)),
        (("mouth", "jaw"), slice(14, 23), (dense.LEFT_EYE, slice(128, 132))),
        (("eyes",), dense.LEFT_EYE, (dense.OUTER_LIP, slice(10, 27))),
    ],
)
def test_an_edit_of_a_part_stays_there(parts: tuple, within: slice, beyond: tuple) -> None:
    share = region_share(parts, FRAME)
    assert (share[within] == 1).all()
    for others in beyond:
        assert share[others].mean() < 0.1


def test_of_several_edits_each_acts_in_its_own_part() -> None:
    regions = Regions.of([(), ("nose",), ("brows",)], FRAME, 64)
    brow, nose = 115, dense.NOSE_TIP

    def at(*change: float) -> np.ndarray:
        return regions.shares(np.array(change, np.float32))[1][[brow, nose]]

    np.testing.assert_allclose(at(1, 0, 0), 1)
    np.testing.assert_allclose(at(0, -0.2, 0), (0, 1))
    np.testing.assert_allclose(at(0, 1, 1), 1)
    np.testing.assert_allclose(at(0, 1, 0.25), (0.25, 1))
    np.testing.assert_allclose(at(0, 0, 0), 0)
    texture, _ = regions.shares(np.array([0, 1, 0], np.float32))
    x, y = np.round(FRAME.mean[[nose, 0]] * 64).astype(int).T
    assert texture[y[0], x[0]] == pytest.approx(1, abs=0.05)
    assert texture[y[1] + 3, x[1]] < 0.05
