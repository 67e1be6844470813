"""Many face crops in one call: each comes out as `edit` makes it alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_up_face import face_picture, face_points
from staged_faces import Nobody

from aif.runtime import Detection, Editor
from aif.runtime.errors import ConfigError, ImageError, UnknownAttributeError
from aif.runtime.geometry.align import template


@pytest.fixture(scope="module")
def editor(toy_bundle):
    return Editor.load(toy_bundle, "cpu", Nobody(), threads=1)


def crops_of(count, side):
    noise = np.random.default_rng(side).normal(0, 60, (count, side, side, 3)).astype(np.float32)
    smooth = [110 + 2 * cv2.GaussianBlur(each, (0, 0), 3.0) + np.array([-20, 0, 15]) for each in noise]
    return np.array(smooth).reshape(noise.shape).clip(30, 200).astype(np.uint8)


def alone(editor, crop, edits, mode):
    """The crop as a photo with one face, whose landmarks lie on the template."""
    points = template(len(crop))
    face = Detection(np.array([0, 0, len(crop), len(crop)], np.float32), points, 1.0)
    return editor.edit(crop, edits, mode, detections=[face])


@pytest.mark.parametrize(("count", "side"), [(1, 32), (5, 100), (40, 20)])
@pytest.mark.parametrize("mode", [None, "delta", "replace"])
def test_one_by_one_and_all_at_once_are_alike(editor, count, side, mode):
    crops, edits = crops_of(count, side), {"Smiling": 1.5, "Blond_Hair": 0.0}
    before = crops.copy()
    result = editor.edit_crops(crops, edits, mode)
    np.testing.assert_array_equal(crops, before)
    assert result.images_nhwc_bgr.shape == crops.shape and result.images_nhwc_bgr.dtype == np.uint8
    for i, crop in enumerate(crops):
        wanted = alone(editor, crop, edits, mode)
        difference = np.abs(wanted.image_hwc_bgr.astype(int) - result.images_nhwc_bgr[i])
        assert difference.max() <= 1 and (result.images_nhwc_bgr[i] != crop).any()
        face = wanted.faces[0]
        np.testing.assert_allclose(result.y_source[i], list(face.y_source.values()), atol=1e-5)
        np.testing.assert_allclose(result.y_target[i], list(face.y_target.values()), atol=1e-5)


def test_each_crop_may_have_edits_of_its_own(editor):
    crops = crops_of(3, 32)
    edits = [{"Smiling": 2.0}, {}, {"Blond_Hair": -1.0}]
    result = editor.edit_crops(crops, edits)
    for i, each in enumerate(edits):
        single = editor.edit_crops(crops[i : i + 1], each)
        np.testing.assert_allclose(result.y_target[i], single.y_target[0], atol=1e-6)
        assert np.abs(result.images_nhwc_bgr[i].astype(int) - single.images_nhwc_bgr[0]).max() <= 1
    np.testing.assert_array_equal(result.images_nhwc_bgr[1], crops[1])


def test_the_policy_of_the_bundle_is_followed(make_bundle):
    with Editor.load(make_bundle(source_values="rounded"), "cpu", Nobody(), threads=1) as editor:
        result = editor.edit_crops(crops_of(4, 32), {"Smiling": 0.25})
    assert set(np.unique(result.y_target[:, 1])) <= {0.0, 1.0} and (result.y_target[:, 0] == 0.25).all()
    assert ((result.y_source > 0) & (result.y_source < 1)).all()


def test_the_networks_run_in_batches(editor, monkeypatch):
    sizes: list[int] = []
    encode = editor.model.encode
    monkeypatch.setattr(editor.model, "encode", lambda crops: (sizes.append(len(crops)), encode(crops))[1])
    editor.edit_crops(crops_of(35, 32), {"Smiling": 1})
    assert sizes == [16, 16, 3]


@pytest.mark.parametrize("edits", [{"Smiling": 1.0}, []])
def test_no_crops(editor, edits):
    result = editor.edit_crops(np.empty((0, 32, 32, 3), np.uint8), edits)
    assert result.images_nhwc_bgr.shape == (0, 32, 32, 3) and result.y_target.shape == (0, 2)


@pytest.mark.parametrize(
    ("count", "edits", "mode", "kind", "said"),
    [
        (0, {"Smile": 1}, None, UnknownAttributeError, "Did you mean Smiling"),
        (0, {"Smiling": 9}, None, ConfigError, "out of range"),
        (3, [{"Smiling": 1}] * 2, None, ConfigError, "3 crops, and edits for 2"),
        (3, [{}, {}, {"Smiling": 9}], None, ConfigError, "out of range"),
        (3, {"Smiling": 1}, "poisson", ConfigError, "delta, replace"),
    ],
)
def test_impossible_wishes(editor, count, edits, mode, kind, said):
    with pytest.raises(kind, match=said):
        editor.edit_crops(crops_of(count, 32), edits, mode)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((32, 32, 3), "u1"), ((2, 32, 30, 3), "u1"), ((2, 3, 32, 32), "u1"), ((2, 32, 32, 3), "f4")],
)
def test_crops_of_another_kind(editor, shape, dtype):
    with pytest.raises(ImageError, match="uint8"):
        editor.edit_crops(np.zeros(shape, dtype), {"Smiling": 1})


@pytest.fixture(scope="module")
def shape_editor(shape_bundle):
    return Editor.load(shape_bundle, "cpu", Nobody(), threads=1)


@pytest.mark.parametrize("side", [48, 128])
def test_crops_for_a_model_with_shape(shape_editor, side):
    """All at once as one by one, and those that nothing is asked of are left alone."""
    face = face_picture(face_points() * side / 128, side)
    crops = np.stack([np.roll(face, 2 * i, axis=1) for i in range(18)])
    edits = [{"Smiling": 1.5, "Blond_Hair": 1.0} if i % 2 else {} for i in range(18)]
    result = shape_editor.edit_crops(crops, edits)
    for i, (crop, each) in enumerate(zip(crops, edits, strict=True)):
        single = shape_editor.edit_crops(crop[None], each)
        assert np.abs(single.images_nhwc_bgr[0].astype(int) - result.images_nhwc_bgr[i]).max() <= 1
        np.testing.assert_allclose(result.y_target[i], single.y_target[0], atol=1e-5)
        assert (result.images_nhwc_bgr[i] != crop).any() == bool(each)
    with pytest.raises(ConfigError, match="It can by: warp"):
        shape_editor.edit_crops(crops, {"Smiling": 1.0}, "delta")
