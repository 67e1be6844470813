"""Engines behind a runner, beside ONNX Runtime: pieces, profiles, threads, failures."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable

import numpy as np
import pytest
from made_up_face import face_points

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.make_engines import make_engines
from aif.runtime.model.model import FaceModel
from aif.runtime.tensorrt.build import BuildOptions
from aif.runtime.tensorrt.sidecar import BatchProfile
from aif.runtime.tensorrt.store import save_to_cache
from aif.runtime.video.editor import VideoEditor

Build = Callable[..., FaceModel]


def crops(count, seed=0):
    return np.random.default_rng(seed).random((count, 3, 32, 32), dtype=np.float32)


def points(count, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.01, (count, 221, 2))
    return (face_points() / 128 + noise).astype(np.float32)


@pytest.fixture
def build(stand_in_card, toy_bundle):
    """Build the toy bundle's engines for a profile, and load them as a user would."""

    def make(*batch):
        low, middle, high = batch or (1, 2, 16)
        options = BuildOptions(profile=BatchProfile(min=low, opt=middle, max=high))
        save_to_cache(make_engines(toy_bundle, "fp32", FaceInputs(crops(3)), "noise", options))
        stand_in_card.runs.clear()
        return FaceModel(toy_bundle, "tensorrt")

    return make


@pytest.mark.parametrize("batch", [(1, 2, 16), (4, 4, 4), (2, 3, 5)])
def test_the_same_as_onnx_runtime(batch, build, toy_bundle):
    """Any number of faces, also none, fewer than the engine takes and more; decoded both ways."""
    model, plain = build(*batch), FaceModel(toy_bundle, threads=1)
    assert (model.device, model.precision) == ("tensorrt", "fp32")
    for seed, count in enumerate([1, 3, 0, 1, 17, 3]):
        found, wanted = model.encode(crops(count, seed)), plain.encode(crops(count, seed))
        for one, other in [(found.z, wanted.z), (found.y, wanted.y)]:
            np.testing.assert_allclose(one, other, atol=1e-6)
        pairs = [m.decode_both(e, e.y, 1 - e.y) for m, e in ((model, found), (plain, wanted))]
        for one, other in zip(*pairs, strict=True):
            np.testing.assert_allclose(one.image, other.image, atol=1e-5)


def test_textures_and_landmarks(stand_in_card, shape_bundle):
    made = make_engines(shape_bundle, "fp32", FaceInputs(crops(3), points(3)), "noise")
    assert made[0][0].gate.keys() == {"z", "y_mean", "y_max", "image", "landmarks", "detail"}
    assert made[0][0].inputs == {"image": (3, 32, 32), "landmarks": (221, 2)}
    save_to_cache(made)
    model, plain = FaceModel(shape_bundle, "tensorrt"), FaceModel(shape_bundle, threads=1)
    for seed, count in enumerate([2, 0, 7]):
        given = crops(count, seed), points(count, seed)
        found, wanted = model.encode(*given), plain.encode(*given)
        one, other = model.decode(found, 1 - found.y), plain.decode(wanted, 1 - wanted.y)
        np.testing.assert_allclose(one.image, other.image, atol=1e-5)
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-6)


def test_results_outlive_the_next_run(build):
    model = build()
    first = model.encode(crops(2, seed=1))
    kept = first.z.copy()
    model.encode(crops(2, seed=2))
    np.testing.assert_array_equal(first.z, kept)


def test_threads_take_turns(build, toy_bundle):
    model, plain = build(), FaceModel(toy_bundle, threads=1)
    wrong: list[int] = []

    def work(number):
        for turn in range(12):
            faces = crops(1 + turn % 2, 100 * number + turn)
            known = plain.encode(faces)
            found = model.decode(model.encode(faces), 1 - known.y).image
            if not np.allclose(found, plain.decode(known, 1 - known.y).image, atol=1e-5):
                wrong.append(turn)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_run_that_fails(build, stand_in_card):
    model = build()
    stand_in_card.run_error = "out of memory"
    with pytest.raises(AifError, match="The encoder failed on TensorRT: out of memory") as caught:
        model.encode(crops(2))
    assert "fewer faces" in str(caught.value.fix)
    stand_in_card.run_error = None
    assert model.encode(crops(2)).z.shape == (2, 48)


def test_pictures_and_films_are_edited_as_on_the_processor(build, toy_bundle, astronaut_bgr):
    build()
    faces = (crops(3) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    frames = [astronaut_bgr[:256, 100:356], astronaut_bgr[4:260, 102:358]]
    found: list[list[np.ndarray]] = []
    for provider in ("cpu", "tensorrt"):
        with Editor.load(toy_bundle, provider=provider, detector="haar") as editor:
            assert editor.model.device == provider
            images = [editor.edit_crops(faces, {"Smiling": 1.0}).images_nhwc_bgr]
            video = VideoEditor(editor, {"Smiling": 1.0})
            images += [video.process(frame, i / 25).image_hwc_bgr for i, frame in enumerate(frames)]
            found.append([image.astype(int) for image in images])
    for one, other in zip(*found, strict=True):
        assert np.abs(one - other).max() <= 1
    assert np.abs(found[0][0] - faces).max() > 20


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA driver here")
@pytest.mark.parametrize(
    ("precision", "options"),
    [("fp32", BuildOptions()), ("fp32", BuildOptions(version_compatible=True)), ("fp16", BuildOptions())],
)
def test_on_a_real_card(precision, options, tmp_path, monkeypatch):
    """The embedded bundle: built, let through the gate, loaded and run."""
    pytest.importorskip("tensorrt", reason="TensorRT is not installed")
    monkeypatch.setenv("AIF_CACHE", str(tmp_path))
    bundle = Bundle.open()
    if precision not in bundle.manifest.graphs:
        pytest.skip(f"the embedded bundle has no graphs in {precision}")
    plain = FaceModel(bundle, "cpu")
    noise = np.random.default_rng(0).random((17, 3, plain.image_size, plain.image_size), dtype=np.float32)
    shape = None if bundle.manifest.face_frame is None else points(17)
    faces = FaceInputs(noise, shape)
    save_to_cache(make_engines(bundle, precision, faces.rows(slice(4)), "noise", options))
    model = FaceModel(bundle, "tensorrt", precision=precision)
    for count in (1, 2, 16, 1, 17, 2):
        some = faces.rows(slice(count))
        found, wanted = (m.encode(some.images, some.landmarks) for m in (model, plain))
        np.testing.assert_allclose(found.y, wanted.y, atol=1e-2)
        one, other = (m.decode(wanted, 1 - wanted.y) for m in (model, plain))
        np.testing.assert_allclose(one.image, other.image, atol=1e-2)
