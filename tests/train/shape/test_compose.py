"""Composition with gradients shows what the runtime shows."""

import cv2
import numpy as np
import pytest
import torch
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.editing.shape.detail import amplified, detail_mask
from aif.runtime.editing.shape.edit import ShapeEdit, apply_edit
from aif.runtime.editing.shape.folds import COMMON
from aif.runtime.editing.shape.gain import EPSILON, dimmed, log_gain
from aif.runtime.editing.shape.hairs import beard_area, shaven
from aif.runtime.editing.shape.region import Regions
from aif.runtime.editing.shape.warp import FacePlace
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import similarity_transform, warp_crop
from aif.train.shape.best.compose import Composer, Edit, Where
from aif.train.shape.best.networks import Decoding
from aif.train.shape.faces.known import attribute_infos
from aif.train.shape.faces.mean_shape import aligned

SIZE = 128
FRAME = made_up_frame()


def moves(what):
    """Movements (221, 2) in units of the side."""
    moved = np.zeros((dense.COUNT, 2), np.float32)
    if what == "open":
        moved[dense.LOWER_LIP] += (0, 7 / 128)
        moved[46:56] += (0, 5 / 128)
    elif what == "part":
        moved[dense.LOWER_LIP] += (0, 3 / 128)
    elif what == "half":
        moved[dense.LOWER_LIP] -= (0, 4 / 128)
    elif what == "close":
        moved[dense.LOWER_LIP] -= (0, 8 / 128)
    elif what == "wide":
        for corner, side in ((36, -1), (46, 1), (56, -1), (66, 1)):
            moved[corner] += (side * 3 / 128, -2 / 128)
    elif what == "fold":
        moved[dense.LEFT_BROW] += (0, 14 / 128)
    return moved


def crop_of(opening):
    """A crop uint8 (128, 128, 3) RGB and its landmarks (221, 2) in units of the side."""
    face = face_points(opening)
    picture = np.ascontiguousarray(face_picture(face, 128)[..., ::-1])
    crop = warp_crop(picture, similarity_transform(dense.five_points(face), SIZE), SIZE)
    return crop, aligned(face[None], SIZE)[0]


def as_batch(image_hwc):
    return torch.from_numpy(np.ascontiguousarray(image_hwc)).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize(
    ("what", "opening", "gain", "detail", "hairs"),
    [
        ("none", 6, 0.0, 0.0, 0),
        ("none", 6, 0.3, 0.0, 0),
        ("none", 6, -0.3, 0.0, 1),
        ("none", 6, 0.0, -0.8, 0),
        ("wide", 6, -0.2, 0.15, 0),
        ("open", 0.2, 0.0, 0.0, 0),
        ("open", 1.7, 0.0, 0.0, 0),
        ("part", 0.2, 0.0, 0.0, 0),
        ("open", 0.2, 0.3, -0.5, 0),
        ("close", 8, 0.0, 0.0, 0),
        ("half", 8, 0.0, 0.0, 0),
        ("close", 0.2, 0.1, 0.0, 0),
        ("fold", 6, 0.0, 0.0, 0),
    ],
)
def test_a_composed_crop_is_what_the_runtime_makes_of_it(what, opening, gain, detail, hairs):
    crop, points = crop_of(opening)
    composer = Composer(FRAME, SIZE)
    gains = np.full((SIZE, SIZE, 3), gain, np.float32) * composer.mask.numpy()[:, :, None]
    shown = cv2.resize(composer.mask.numpy(), (SIZE // 4, SIZE // 4), interpolation=cv2.INTER_AREA)
    amounts = np.repeat(np.float32(detail) * shown[:, :, None], 3, axis=2)
    edit = ShapeEdit(moves(what), gains, amounts, np.zeros_like(amounts[:, :, 0]), hairs)
    photo = np.ascontiguousarray(crop[..., ::-1])
    apply_edit(photo, FRAME, FacePlace.of(FRAME, points * np.float32(SIZE), photo.shape), edit)
    hairy = as_batch(gains) - hairs * as_batch(gains).mean(dim=1, keepdim=True) * composer.strands
    ours = composer(
        as_batch(crop) / 255,
        torch.from_numpy(points)[None],
        Edit(torch.from_numpy(edit.moves)[None], hairy, as_batch(amounts)),
    )
    difference = np.abs(ours[0].permute(1, 2, 0).numpy()[..., ::-1] * 255 - photo)
    assert difference.mean() < 0.6
    assert np.percentile(difference, 99) < 4


def test_the_picture_pulls_at_landmarks_gain_and_detail():
    crop, points = crop_of(0.2)
    moved = torch.from_numpy(moves("open"))[None].requires_grad_()
    gain = torch.zeros(1, 3, SIZE, SIZE, requires_grad=True)
    detail = torch.zeros(1, 3, SIZE // 4, SIZE // 4, requires_grad=True)
    composer = Composer(FRAME, SIZE)
    weight = torch.linspace(0, 1, SIZE)
    shown = composer(as_batch(crop) / 255, torch.from_numpy(points)[None], Edit(moved, gain, detail))
    (shown * weight).sum().backward()
    for what in (moved, gain, detail):
        assert what.grad is not None
        assert torch.isfinite(what.grad).all()
        assert what.grad.abs().max() > 0


def test_an_edit_of_two_decodings_is_the_runtimes():
    rng = np.random.default_rng(0)
    before, after, own = (
        cv2.GaussianBlur(rng.random((SIZE, SIZE, 3), dtype=np.float32), (0, 0), 3) * 4 - 1.5 for _ in range(3)
    )
    before, after, own = (image.clip(0, 1) for image in (before, after, own))
    amplitudes = rng.normal(0, 0.5, (2, 1, 3, SIZE // 4, SIZE // 4)).astype(np.float32)
    decodings = [
        Decoding((as_batch(image) + EPSILON).log(), torch.zeros(1, dense.COUNT, 2), torch.from_numpy(each))
        for image, each in zip((before, after), amplitudes, strict=True)
    ]
    where = Where.of(attribute_infos(["Male", "Big_Nose", "Goatee", "Smiling"]), FRAME, SIZE, "cpu")
    everywhere, nose, beard, smile = (where.rows(torch.tensor([k]), torch.ones(1)) for k in range(4))
    assert (everywhere.hairs, nose.hairs, beard.hairs) == (0, 0, 1)
    assert (everywhere.shaven, nose.shaven, beard.shaven) == (0, 1, 0)
    going = where.rows(torch.tensor([1, 2]), torch.zeros(2))
    assert not going.hairs.any() and not going.shaven.any() and not going.aged.any()
    edit = Composer(FRAME, SIZE).edit(*decodings, as_batch(own), everywhere)
    images = [as_batch(image).numpy() for image in (before, after, own)]
    np.testing.assert_allclose(edit.gain.numpy(), log_gain(*images, FRAME), atol=2e-3)
    narrow = Composer(FRAME, SIZE).edit(*decodings, as_batch(own), nose)
    texture, *_ = Regions.of(attribute_infos(["Big_Nose"]), FRAME, SIZE).shares(np.ones(1, np.float32))
    whole = np.ascontiguousarray(log_gain(*images, FRAME)[0].transpose(1, 2, 0))
    bare, bearded = shaven(whole, np.ones((SIZE, SIZE), np.float32), FRAME), beard_area(FRAME, SIZE)
    np.testing.assert_allclose(narrow.gain[0], (bare * texture[:, :, None]).transpose(2, 0, 1), atol=2e-3)
    assert (bare - whole)[bearded > 0.9].max() > 0.1 and bare[bearded > 0.99].min() > -0.01
    expression = Composer(FRAME, SIZE).edit(*decodings, as_batch(own), smile).gain[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(
        expression, dimmed(whole, np.full((SIZE, SIZE), 0.2, np.float32), FRAME), atol=2e-3
    )
    assert np.abs(expression - whole).max() > 0.02
    assert edit.gain.abs().max() > 0.2
    x, y = np.round(FRAME.mean[dense.LEFT_EYE].mean(axis=0) * SIZE).astype(int)
    assert edit.gain[0, :, y, x].abs().max() < 0.02
    shown = cv2.resize(detail_mask(FRAME, SIZE), (SIZE // 4, SIZE // 4), interpolation=cv2.INTER_AREA)
    amounts = amplified(amplitudes[1] - amplitudes[0]) * shown
    np.testing.assert_allclose(edit.detail.numpy(), amounts, atol=1e-5)


def test_age_comes_with_its_folds():
    folds = np.zeros((SIZE, SIZE), np.float32)
    folds[80:90, 86:90] = 0.1
    where = Where.of(attribute_infos(["Young", "Smiling", "Male"]), FRAME, SIZE, "cpu")
    decoding = Decoding(*(torch.zeros(5, *shape) for shape in ((3, SIZE, SIZE), (221, 2), (3, 32, 32))))
    attributes, values = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0.0, 1, 0, 1, 0])
    composer = Composer(FRAME, SIZE, folds=folds)
    gain = composer.edit(
        decoding, decoding, torch.full((5, 3, SIZE, SIZE), 0.5), where.rows(attributes, values)
    ).gain
    np.testing.assert_allclose(gain[0], np.broadcast_to(-COMMON * folds, (3, SIZE, SIZE)), atol=1e-6)
    assert not gain[1:].any()
