"""The model on a toy bundle: real graphs, run by ONNX Runtime."""

import logging

import numpy as np
import pytest
from made_up_face import face_points
from tiny_bundles import SHAPE_CODES, moves

from aif.runtime.errors import BundleError, ConfigError, ProviderError
from aif.runtime.model import model as model_module
from aif.runtime.model.model import MAX_BATCH, FaceModel


@pytest.fixture(scope="module")
def model(toy_bundle):
    return FaceModel(toy_bundle, threads=1)


@pytest.fixture(scope="module")
def shaped(shape_bundle):
    return FaceModel(shape_bundle, threads=1)


def _points(count):
    """Landmarks of faces that are a little different."""
    noise = np.random.default_rng(count).normal(0, 0.01, (count, 221, 2))
    return (face_points() / 128 + noise).astype(np.float32)


def _crops(count, size=32):
    return np.random.default_rng(count).random((count, 3, size, size), dtype=np.float32)


@pytest.mark.parametrize("count", [0, 1, MAX_BATCH, MAX_BATCH + 1])
def test_batches_do_not_change_the_result(model, count):
    crops = _crops(count)
    encoding = model.encode(crops)
    decoded = model.decode(encoding, encoding.y).image
    assert (model.device, model.precision, model.attributes) == ("cpu", "fp32", ("Smiling", "Blond_Hair"))
    assert len(encoding) == count
    assert encoding.z.shape == (count, 48) and encoding.y.shape == (count, 2)
    assert encoding.features["feature_0"].shape == (count, 3, 16, 16)
    assert decoded.shape == (count, 3, 32, 32) and decoded.dtype == np.float32
    np.testing.assert_allclose(encoding.y, crops.mean(axis=(2, 3))[:, [0, 2]], atol=1e-5)
    for index in range(count):
        single = model.encode(crops[index : index + 1])
        np.testing.assert_allclose(model.decode(single, single.y).image[0], decoded[index], atol=1e-5)


def test_y_alone_changes_the_picture(model):
    encoding = model.encode(np.full((1, 3, 32, 32), 0.4, dtype=np.float32)).repeat(3)
    decoded = model.decode(encoding, [[0, 0], [1, 0], [0, 1]])
    assert decoded.landmarks is None and len(decoded) == 3
    off, smile, blond = decoded.image
    np.testing.assert_allclose(off, 0.4, atol=1e-5)
    changed_by_smile, changed_by_hair = (np.abs(each - off).max(axis=0) > 0.05 for each in (smile, blond))
    assert changed_by_smile[25, 16] and not changed_by_smile[7, 16]
    assert changed_by_hair[7, 16] and not changed_by_hair[25, 16]


@pytest.mark.parametrize("count", [0, 1, 3, MAX_BATCH + 1])
def test_textures_and_landmarks(shaped, count):
    crops, points = _crops(count), _points(count)
    encoding = shaped.encode(crops, points)
    assert encoding.z.shape == (count, SHAPE_CODES) and encoding.features == {}
    before, after = shaped.decode_both(encoding, encoding.y, encoding.y + np.float32((1, 0)))
    assert before.image.shape == after.image.shape == (count, 3, 32, 32)
    assert before.landmarks is not None and after.landmarks is not None
    np.testing.assert_allclose(
        before.landmarks - encoding.y[:, :1, None] * moves()[0],
        points + encoding.y[:, 1:, None] * moves()[1],
        atol=1e-5,
    )
    np.testing.assert_allclose(
        after.landmarks - before.landmarks, np.tile(moves()[:1], (count, 1, 1)), atol=1e-5
    )
    assert before.detail is not None and after.detail is not None
    np.testing.assert_allclose(after.detail - before.detail, np.full((count, 3, 8, 8), 0.1), atol=1e-6)
    again = shaped.decode(encoding, encoding.y)
    np.testing.assert_array_equal(again.image, before.image)
    np.testing.assert_array_equal(again.landmarks, before.landmarks)


def test_values_alike_give_faces_alike(shaped, model):
    for each, encoding in ((model, model.encode(_crops(3))), (shaped, shaped.encode(_crops(3), _points(3)))):
        before, after = each.decode_both(encoding, 1 - encoding.y, 1 - encoding.y)
        np.testing.assert_array_equal(before.image, after.image)
        np.testing.assert_array_equal(before.landmarks, after.landmarks)


def test_graphs_without_landmarks_in_a_bundle_with_shape(make_shape_bundle, toy_parts):
    for part in ("encoder", "decoder"):
        with pytest.raises(BundleError, match=r"landmarks Nx221x2|z Nx490, y Nx2"):
            FaceModel(make_shape_bundle(graphs={f"{part}.onnx": toy_parts.files[f"{part}.onnx"]}))


@pytest.mark.parametrize(
    ("crops", "points", "says"),
    [((shape), None, "crops must be") for shape in ((3, 32, 32), (1, 3, 16, 16), (1, 32, 32, 3), (0,))]
    + [((2, 3, 32, 32), shape, "takes landmarks") for shape in ((2, 5, 2), (1, 221, 2), (2, 221))]
    + [((2, 3, 32, 32), None, "takes landmarks"), ((2, 3, 32, 32), (2, 221, 2), "no shape")],
)
def test_faces_of_another_shape(crops, points, says, model, shaped):
    given = None if points is None else np.zeros(points, np.float32)
    with pytest.raises(ValueError, match=says):
        (shaped if "landmarks" in says else model).encode(np.zeros(crops, np.float32), given)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (2, 3), (2, 2, 1)])
def test_values_of_another_shape(model, shape):
    encoding, values = model.encode(_crops(2)), np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match="y must be"):
        model.decode(encoding, values)
    with pytest.raises(ValueError, match="must"):
        model.decode_both(encoding, encoding.y, values)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"image_size": 64}, "encoder takes image Nx3x32x32.*manifest says image Nx3x64x64"),
        ({"latent_size": 47}, "encoder gives z Nx48"),
        ({"attributes": [{"name": "Smiling"}]}, "encoder gives .*y Nx2"),
        ({"features": []}, "encoder gives .*feature_0"),
        ({"features": ["feature_0", "feature_1"]}, "feature_1 missing"),
    ],
)
def test_graphs_that_do_not_fit_the_manifest(make_bundle, fields, says):
    with pytest.raises(BundleError, match=says):
        FaceModel(make_bundle(**fields))


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("encoder.onnx", None, "the encoder takes z Nx48, y Nx2"),  # the other graph
        ("decoder.onnx", b"not a graph", "cannot load the decoder"),
    ],
)
def test_wrong_graphs_with_right_hashes(make_bundle, toy_parts, name, data, says):
    with pytest.raises(BundleError, match=says):
        FaceModel(make_bundle(graphs={name: data or toy_parts.files["decoder.onnx"]}))


def test_unknown_precision(toy_bundle):
    with pytest.raises(BundleError, match="It has: fp32"):
        FaceModel(toy_bundle, precision="fp16")


def test_auto_falls_back_and_says_so(toy_bundle, monkeypatch, caplog):
    """The driver is there but CUDA does not load: "auto" goes on with the CPU, "cuda" does not."""

    def no_cuda(device):
        if device == "cuda":
            raise ProviderError("CUDA is broken here.")

    monkeypatch.setattr(model_module, "require", no_cuda)
    with caplog.at_level(logging.INFO):
        assert FaceModel(toy_bundle, "auto").device == "cpu"
    assert "Running on the processor: CUDA is broken here." in caplog.text
    with pytest.raises(ProviderError, match="CUDA is broken"):
        FaceModel(toy_bundle, "cuda")


def test_unknown_providers(toy_bundle):
    with pytest.raises(ConfigError, match="cpu, cuda, tensorrt, openvino, ort-tensorrt, auto"):
        FaceModel(toy_bundle, "gpu")
