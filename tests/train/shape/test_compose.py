"""Composition with gradients shows what the runtime shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.editing.shape.edit import ShapeEdit, apply_edit
from aif.runtime.editing.shape.warp import FacePlace
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import similarity_transform, warp_crop
from aif.train.shape.best.compose import Composer, Edit
from aif.train.shape.faces.mean_shape import aligned

SIZE = 128
FRAME = made_up_frame()


def moves(what: str) -> np.ndarray:
    """Movements (221, 2) in units of the side."""
    moved = np.zeros((dense.COUNT, 2), np.float32)
    if what == "open":
        moved[dense.LOWER_LIP] += (0, 7 / 128)
        moved[46:56] += (0, 5 / 128)
    elif what == "close":
        moved[dense.LOWER_LIP] -= (0, 8 / 128)
    elif what == "wide":
        for corner, side in ((36, -1), (46, 1), (56, -1), (66, 1)):
            moved[corner] += (side * 3 / 128, -2 / 128)
    elif what == "fold":
        moved[dense.LEFT_BROW] += (0, 14 / 128)
    return moved


def crop_of(opening: float) -> tuple[np.ndarray, np.ndarray]:
    """A crop uint8 (128, 128, 3) RGB and its landmarks (221, 2) in units of the side."""
    face = face_points(opening)
    picture = np.ascontiguousarray(face_picture(face, 128)[..., ::-1])
    crop = warp_crop(picture, similarity_transform(dense.five_points(face), SIZE), SIZE)
    return crop, aligned(face[None], SIZE)[0]


def as_batch(image_hwc: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image_hwc)).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize(
    ("what", "opening", "gain"),
    [
        ("none", 6, 0.0),
        ("none", 6, 0.3),
        ("wide", 6, -0.2),
        ("open", 0.2, 0.0),
        ("open", 0.2, 0.3),
        ("close", 8, 0.0),
        ("close", 0.2, 0.1),
        ("fold", 6, 0.0),
    ],
)
def test_a_composed_crop_is_what_the_runtime_makes_of_it(what: str, opening: float, gain: float) -> None:
    crop, points = crop_of(opening)
    composer = Composer(FRAME, SIZE)
    gains = np.full((SIZE, SIZE, 3), gain, np.float32) * composer.mask.numpy()[:, :, None]
    texture = np.full((SIZE, SIZE, 3), (0.9, 0.5, 0.4), np.float32)
    edit = ShapeEdit(moves(what), gains, texture)
    photo = np.ascontiguousarray(crop[..., ::-1])
    apply_edit(photo, FRAME, FacePlace.of(FRAME, points * np.float32(SIZE), photo.shape), edit)
    ours = composer(
        as_batch(crop) / 255,
        torch.from_numpy(points)[None],
        Edit(torch.from_numpy(edit.moves)[None], as_batch(gains), as_batch(texture)),
    )
    difference = np.abs(ours[0].permute(1, 2, 0).numpy()[..., ::-1] * 255 - photo)
    assert difference.mean() < 0.6
    assert np.percentile(difference, 99) < 4


def test_the_picture_pulls_at_landmarks_gain_and_mouth() -> None:
    crop, points = crop_of(0.2)
    moved = torch.from_numpy(moves("open"))[None].requires_grad_()
    gain = torch.zeros(1, 3, SIZE, SIZE, requires_grad=True)
    texture = torch.full((1, 3, SIZE, SIZE), 0.5, requires_grad=True)
    composer = Composer(FRAME, SIZE)
    weight = torch.linspace(0, 1, SIZE)
    shown = composer(as_batch(crop) / 255, torch.from_numpy(points)[None], Edit(moved, gain, texture))
    (shown * weight).sum().backward()
    for what in (moved, gain, texture):
        assert what.grad is not None
        assert torch.isfinite(what.grad).all()
        assert what.grad.abs().max() > 0


def test_gains_are_bounded_and_off_the_eyes() -> None:
    composer = Composer(FRAME, SIZE)
    dark, bright = (torch.full((1, 3, SIZE, SIZE), value) for value in (-9.0, 9.0))
    points = torch.zeros(1, dense.COUNT, 2)
    edit = composer.edit((dark, points), (bright, points))
    assert 0.4 < edit.gain.max() <= 0.45
    x, y = np.round(FRAME.mean[dense.LEFT_EYE].mean(axis=0) * SIZE).astype(int)
    assert edit.gain[0, :, y, x].abs().max() < 0.02
    assert edit.texture.max() == 1
