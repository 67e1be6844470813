"""The alignment error: 0 for the same crop, wherever and however large the face is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from aif.runtime.geometry.align import TEMPLATE_128
from aif.train.evaluation.alignment import alignment_error

Points = npt.NDArray[np.float32]
EYES = 36.0  # distance of the template's eyes in pixels


def shifted(points: Points, x: float, y: float) -> Points:
    return points + np.array([x, y], dtype=np.float32)


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
