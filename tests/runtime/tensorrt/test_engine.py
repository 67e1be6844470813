"""Engines on a stand-in card, beside ONNX Runtime: buffers, links, graphs, threads, memory given back."""

from __future__ import annotations

import dataclasses
import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from made_up_face import face_points

from aif.runtime.bench.measure import Setup
from aif.runtime.bench.networks import bench_networks, networks_of
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError
from aif.runtime.model.make import GateFaces, make_engines
from aif.runtime.model.model import Encoding, FaceModel
from aif.runtime.tensorrt.build import BuildOptions
from aif.runtime.tensorrt.sidecar import BatchProfile
from aif.runtime.tensorrt.store import save_to_cache
from aif.runtime.video.editor import VideoEditor

Build = Callable[..., FaceModel]


def crops(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3, 32, 32), dtype=np.float32)


@pytest.fixture
def build(stand_in_card: Any, toy_bundle: Bundle) -> Build:
    """Build the toy bundle's engines for a profile, and load them as a user would."""

    def make(*batch: int, cuda_graph: bool = False) -> FaceModel:
        low, middle, high = batch or (1, 2, 16)
        options = BuildOptions(profile=BatchProfile(min=low, opt=middle, max=high))
        save_to_cache(make_engines(toy_bundle, "fp32", GateFaces(crops(3), "noise"), options))
        stand_in_card.log.clear()
        return FaceModel(toy_bundle, "tensorrt", cuda_graph=cuda_graph)

    return make


@pytest.mark.parametrize(
    ("batch", "cuda_graph"),
    [((1, 2, 16), False), ((1, 1, 1), False), ((4, 4, 4), False), ((2, 3, 5), True), ((1, 8, 64), True)],
)
def test_the_same_as_onnx_runtime(
    batch: tuple[int, ...], cuda_graph: bool, build: Build, toy_bundle: Bundle
) -> None:
    """Any number of faces, also none and more than the engine takes; decoded both ways."""
    model, plain = build(*batch, cuda_graph=cuda_graph), FaceModel(toy_bundle, threads=1)
    assert (model.device, model.precision) == ("tensorrt", "fp32")
    for seed, count in enumerate([1, 3, 0, 1, 17, 3]):
        found, wanted = model.encode(crops(count, seed)), plain.encode(crops(count, seed))
        for one, other in [(found.z, wanted.z), (found.y, wanted.y)]:
            np.testing.assert_allclose(one, other, atol=1e-6)
        np.testing.assert_allclose(found.features["feature_0"], wanted.features["feature_0"], atol=1e-6)
        for one, other in zip(
            model.decode_both(found, found.y, 1 - found.y),
            plain.decode_both(wanted, wanted.y, 1 - wanted.y),
            strict=True,
        ):
            np.testing.assert_allclose(one.image, other.image, atol=1e-5)
            assert one.landmarks is None
        one = model.decode(found.repeat(2), np.concatenate([found.y, found.y])).image
        np.testing.assert_allclose(one[:count], one[count:], atol=0)


def points(count: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.01, (count, 221, 2))
    return (face_points() / 128 + noise).astype(np.float32)


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_textures_and_landmarks_go_through_the_card(
    cuda_graph: bool, stand_in_card: Any, shape_bundle: Bundle
) -> None:
    """Both inputs go up, both outputs come down, and z is read where it lies."""
    profile = BatchProfile(min=1, opt=2, max=4)
    faces = GateFaces(crops(3), "noise", points(3))
    made = make_engines(shape_bundle, "fp32", faces, BuildOptions(profile=profile))
    assert made[0][0].gate.keys() == {"z", "y_mean", "y_max", "image", "landmarks"}
    assert made[0][0].inputs == {"image": (3, 32, 32), "landmarks": (221, 2)}
    assert [build["profile"].get("landmarks") for build in stand_in_card.builds] == [
        ((1, 221, 2), (2, 221, 2), (4, 221, 2)),
        None,
    ]
    save_to_cache(made)
    model = FaceModel(shape_bundle, "tensorrt", cuda_graph=cuda_graph)
    plain = FaceModel(shape_bundle, threads=1)
    for seed, count in enumerate([2, 0, 7, 2]):
        given = crops(count, seed), points(count, seed)
        found, wanted = model.encode(*given), plain.encode(*given)
        np.testing.assert_allclose(found.z, wanted.z, atol=1e-6)
        stand_in_card.log.clear()
        for one, other in zip(
            model.decode_both(found, found.y, 1 - found.y),
            plain.decode_both(wanted, wanted.y, 1 - wanted.y),
            strict=True,
        ):
            np.testing.assert_allclose(one.image, other.image, atol=1e-5)
            np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-6)
        if count == 2 and not cuda_graph:
            assert stand_in_card.log == ["up", "run", "down", "down"] * 2
    with pytest.raises(ValueError, match="landmarks"):
        model.encode(crops(2))


def test_engines_that_move_landmarks_do_not_pass(stand_in_card: Any, shape_bundle: Bundle) -> None:
    stand_in_card.spoil = lambda name, value: value + np.float32(0.001 * (name == "landmarks"))
    with pytest.raises(AifError, match=r"landmarks 0\.0014 \(allowed 0\.0001\)"):
        make_engines(shape_bundle, "fp32", GateFaces(crops(3), "noise", points(3)), BuildOptions())


def test_nothing_but_y_goes_back_to_the_card(build: Build, stand_in_card: Any) -> None:
    """z and the features are read where the encoder left them: y is the only upload of a decoding."""
    model = build()
    encoding = model.encode(crops(2))
    stand_in_card.log.clear()
    model.decode_both(encoding, encoding.y, 1 - encoding.y)
    assert stand_in_card.log == ["up", "run", "down"] * 2
    stand_in_card.log.clear()
    model.decode(encoding.repeat(2), np.concatenate([encoding.y, encoding.y]))
    assert stand_in_card.log == ["up", "up", "up", "run", "down"]  # z, y and feature_0


def test_what_was_overwritten_on_the_card_is_taken_from_the_host(build: Build, toy_bundle: Bundle) -> None:
    model, plain = build(), FaceModel(toy_bundle, threads=1)
    first = model.encode(crops(2, seed=1))
    model.encode(crops(2, seed=2))
    wanted = plain.decode_both(plain.encode(crops(2, seed=1)), first.y, 1 - first.y)
    for one, other in zip(model.decode_both(first, first.y, 1 - first.y), wanted, strict=True):
        np.testing.assert_allclose(one.image, other.image, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda code: code.rows(np.array([1, 0])),
        lambda code: dataclasses.replace(code, z=code.z + np.float32(0.1)),
        lambda code: dataclasses.replace(code, z=code.z.copy()),
        lambda code: dataclasses.replace(code, features={"feature_0": code.features["feature_0"] * 0}),
    ],
)
def test_codes_that_others_made_are_not_taken_from_the_card(
    change: Callable[[Encoding], Encoding], build: Build, toy_bundle: Bundle, stand_in_card: Any
) -> None:
    """A video averages z over time, for instance."""
    model, plain = build(), FaceModel(toy_bundle, threads=1)
    found, wanted = change(model.encode(crops(2))), change(plain.encode(crops(2)))
    stand_in_card.log.clear()
    one, other = (m.decode_both(e, e.y, e.y)[0].image for m, e in ((model, found), (plain, wanted)))
    np.testing.assert_allclose(one, other, atol=1e-5)
    assert stand_in_card.log.count("up") == 3


def test_codes_on_the_card_cannot_be_changed_behind_its_back(build: Build) -> None:
    encoding = build().encode(crops(2))
    for array in (encoding.z, *encoding.features.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_video_is_edited_as_on_the_processor(
    build: Build, toy_bundle: Bundle, stand_in_card: Any, astronaut_bgr: np.ndarray
) -> None:
    build()
    frames = [astronaut_bgr[:256, 100:356], astronaut_bgr[4:260, 102:358]]
    found: list[list[np.ndarray]] = []
    for provider in ("cpu", "tensorrt"):
        with Editor.load(toy_bundle, provider=provider, detector="haar") as editor:  # type: ignore[arg-type]
            video = VideoEditor(editor, {"Smiling": 1.0})
            stand_in_card.log.clear()
            found.append(
                [video.process(frame, i / 25).image_hwc_bgr.astype(int) for i, frame in enumerate(frames)]
            )
    assert stand_in_card.log.count("run") == 3 * len(frames)  # one encoding and two decodings a frame
    for one, other in zip(*found, strict=True):
        assert np.abs(one - other).max() <= 1


@pytest.mark.parametrize(
    ("batch", "asked", "recorded"), [((1, 2, 4), False, 0), ((1, 2, 4), True, 1), ((2, 2, 2), False, 1)]
)
def test_a_fixed_batch_is_launched_as_one(
    batch: tuple[int, ...], asked: bool, recorded: int, build: Build, stand_in_card: Any
) -> None:
    """Uploads, kernels and downloads are one launch from the second run of a slot on."""
    model = build(*batch, cuda_graph=asked)
    model.encode(crops(2))
    stand_in_card.log.clear()
    model.encode(crops(2, seed=3))
    assert stand_in_card.log == ["launch"] * recorded + ["up", "run", "down", "down", "down"]


@pytest.mark.parametrize(
    "function", ["cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"]
)
def test_a_graph_that_cannot_be_recorded_is_no_error(
    function: str, build: Build, stand_in_card: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in_card.fails[function] = stand_in_card.errors_of_cuda.cudaErrorStreamCaptureUnsupported
    model = build(2, 2, 2)
    assert model.encode(crops(2)).z.shape == (2, 48)
    assert "No CUDA graph" in caplog.text and "cudaErrorStreamCaptureUnsupported" in caplog.text


@pytest.mark.parametrize("function", ["cudaMalloc", "cudaMallocHost"])
def test_full_memory(function: str, build: Build, stand_in_card: Any) -> None:
    model = build()
    stand_in_card.fails[function] = stand_in_card.errors_of_cuda.cudaErrorMemoryAllocation
    with pytest.raises(AifError, match="cudaErrorMemoryAllocation") as caught:
        model.encode(crops(7))
    assert "fewer faces" in str(caught.value.fix)
    stand_in_card.fails.clear()
    assert model.encode(crops(7)).z.shape == (7, 48)


def test_threads_do_not_mix_their_faces(build: Build, toy_bundle: Bundle) -> None:
    model, plain = build(), FaceModel(toy_bundle, threads=1)
    wrong: list[int] = []

    def work(number: int) -> None:
        for turn in range(12):
            faces = crops(1 + turn % 2, 100 * number + turn)
            encoding, known = model.encode(faces), plain.encode(faces)
            found, wanted = (
                model.decode_both(encoding, known.y, 1 - known.y),
                plain.decode_both(known, known.y, 1 - known.y),
            )
            if not all(np.allclose(a.image, b.image, atol=1e-5) for a, b in zip(found, wanted, strict=True)):
                wrong.append(turn)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_all_memory_is_given_back(build: Build, stand_in_card: Any) -> None:
    model = build(cuda_graph=True)
    encoding = model.encode(crops(2))
    model.decode_both(encoding, encoding.y, encoding.y)
    assert stand_in_card.live
    del model, encoding
    gc.collect()
    assert not stand_in_card.live


def test_loading_runs_each_engine_once(build: Build, stand_in_card: Any) -> None:
    build()
    assert stand_in_card.log == ["up", "run", "down", "down", "down", "up", "up", "up", "run", "down"]


def test_benchmarks_time_engines(build: Build, toy_bundle: Bundle) -> None:
    build()
    setups = [Setup("tensorrt", 1), Setup("cpu", 1)]
    rivals = {setup: networks_of(toy_bundle, setup) for setup in setups}
    rows = bench_networks(rivals, 32, (1, 20), 0.001, 1)
    assert {(row.setup.provider, row.name, row.part) for row in rows} == {
        (provider, "aif", part) for provider in ("tensorrt", "cpu") for part in ("encoder", "decoder")
    }


def test_results_outlive_the_next_run(build: Build) -> None:
    model = build()
    first = model.encode(crops(2, seed=1))
    kept = first.z.copy()
    model.encode(crops(2, seed=2))
    np.testing.assert_array_equal(first.z, kept)


def test_values_of_another_shape(build: Build) -> None:
    model = build()
    encoding = model.encode(crops(2))
    with pytest.raises(ValueError, match="must be"):
        model.decode_both(encoding, encoding.y, encoding.y[:1])


def test_an_editor_edits_as_on_the_processor(build: Build, toy_bundle: Bundle) -> None:
    build()
    faces = (crops(3) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    pictures = []
    for provider in ("cpu", "tensorrt"):
        with Editor.load(toy_bundle, provider=provider, detector="haar") as editor:  # type: ignore[arg-type]
            assert editor.model.device == provider
            pictures.append(editor.edit_crops(faces, {"Smiling": 1.0}).images_nhwc_bgr.astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1
    assert np.abs(pictures[0] - faces).max() > 20
