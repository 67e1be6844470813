"""Which engines are taken, what is said where none fits, who may fall back, and the gate at the build."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aif.runtime.bench.measure import Setup
from aif.runtime.bench.networks import networks_of
from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.errors import AifError, BundleError, ConfigError, ProviderError
from aif.runtime.model.make import GateFaces, check_buildable, make_engines
from aif.runtime.model.model import FaceModel
from aif.runtime.tensorrt.build import BuildOptions
from aif.runtime.tensorrt.store import build_command, bundle_files, find_engines, save_to_cache

FACES = GateFaces(np.random.default_rng(0).random((2, 3, 32, 32), dtype=np.float32), "noise")


@pytest.fixture(params=["folder", "zip"])
def with_engines(
    request: pytest.FixtureRequest, stand_in_card: Any, toy_bundle: Bundle, toy_parts: Any, tmp_path: Path
) -> Bundle:
    """The toy bundle with its engines inside."""
    made = make_engines(toy_bundle, "fp32", FACES, BuildOptions())
    files = {**toy_parts.files, **bundle_files(made)}
    return write_bundle(tmp_path / "toy.aif", toy_parts.manifest, files, folder=request.param == "folder")


def test_engines_of_the_bundle(with_engines: Bundle) -> None:
    assert FaceModel(with_engines, "tensorrt").device == "tensorrt"
    assert FaceModel(with_engines).device == "cpu"
    listing = find_engines(with_engines)
    assert [each.sidecar.part for each in listing.engines] == ["decoder", "encoder"] and not listing.faults


def test_auto_runs_no_engine_that_came_with_a_bundle(
    with_engines: Bundle,
    stand_in_card: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who opens a stranger's bundle has not asked for the stranger's programs."""

    def opened(*engine: object) -> None:
        raise AssertionError("an engine of the bundle was opened")

    with monkeypatch.context() as patch, caplog.at_level(logging.INFO):
        patch.setattr("aif.runtime.tensorrt.load.EngineSession", opened)
        assert FaceModel(with_engines, "auto").device == "cpu"
    assert "they are used with --provider tensorrt only" in caplog.text
    save_to_cache(make_engines(with_engines, "fp32", FACES, BuildOptions()))
    assert FaceModel(with_engines, "auto").device == "tensorrt"


def test_engines_of_the_cache(stand_in_card: Any, toy_bundle: Bundle, tmp_path: Path) -> None:
    places = save_to_cache(make_engines(toy_bundle, "fp32", FACES, BuildOptions()))
    assert all(place.is_relative_to(tmp_path / "cache" / "engines") for place in places)
    assert sorted(path.suffix for path in places[0].parent.iterdir()) == [".engine", ".json"]
    assert FaceModel(toy_bundle, "tensorrt").device == "tensorrt"
    places[0].write_bytes(places[0].read_bytes()[:-1])
    with pytest.raises(ProviderError, match="not the engine that its sidecar describes"):
        FaceModel(toy_bundle, "tensorrt")
    places[0].unlink()
    with pytest.raises(ProviderError, match="cannot be read"):
        FaceModel(toy_bundle, "tensorrt")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "11.3.0.15"}, "TensorRT 11.3.0.14 built it, here is 11.3.0.15"),
        (
            {"capability": "8.9", "name": "Other"},
            r"capability 9\.0 \(Stand-in 9000\), here is 8\.9 \(Other\)",
        ),
    ],
)
def test_engines_of_another_machine(
    change: dict[str, str],
    said: str,
    with_engines: Bundle,
    stand_in_card: Any,
    plug_in: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """TensorRT alone is an error with the command; auto goes on and says why."""
    save_to_cache(make_engines(with_engines, "fp32", FACES, BuildOptions()))
    for name, value in change.items():
        setattr(stand_in_card, name, value)
    plug_in(stand_in_card)
    with pytest.raises(ProviderError, match=said) as caught:
        FaceModel(with_engines, "tensorrt")
    assert f"aif-export {with_engines.path} -o {with_engines.path} --trt --precision fp32" in str(
        caught.value.fix
    )
    with caplog.at_level(logging.INFO):
        assert FaceModel(with_engines, "auto").device == "cpu"
    assert "Running on the processor: No TensorRT engines" in caplog.text and "aif-export" in caplog.text


def test_another_card_of_the_same_kind(
    with_engines: Bundle, stand_in_card: Any, plug_in: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in_card.name = "Stand-in 9001"
    plug_in(stand_in_card)
    assert FaceModel(with_engines, "tensorrt").device == "tensorrt"
    assert "tuned on Stand-in 9000" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: {**data, "onnx_sha256": "0" * 64}, "another graph"),
        (lambda data: {**data, "sha256": "0" * 64}, "not the engine that its sidecar describes"),
        (lambda data: {**data, "bytes": 7}, "not the engine that its sidecar describes"),
        (lambda data: {**data, "file": "elsewhere.engine"}, "elsewhere.engine is missing"),
        (lambda data: {**data, "tensorrt": "none"}, "damaged or of another aif: at tensorrt"),
        (lambda data: [], "damaged"),
    ],
)
def test_sidecars_that_lie(
    spoil: Callable[[Any], Any],
    said: str,
    stand_in_card: Any,
    toy_bundle: Bundle,
    toy_parts: Any,
    tmp_path: Path,
) -> None:
    files = bundle_files(make_engines(toy_bundle, "fp32", FACES, BuildOptions()))
    name = next(name for name in files if name.startswith("engines/decoder") and name.endswith(".json"))
    files[name] = json.dumps(spoil(json.loads(files[name]))).encode()
    bundle = write_bundle(tmp_path / "lies.aif", toy_parts.manifest, {**toy_parts.files, **files})
    with pytest.raises(ProviderError, match=said):
        FaceModel(bundle, "tensorrt")
    assert FaceModel(bundle, "auto").device == "cpu"


def test_a_sidecar_that_lies_about_the_tensors(
    stand_in_card: Any, toy_bundle: Bundle, toy_parts: Any, tmp_path: Path
) -> None:
    (encoder, data), other = make_engines(toy_bundle, "fp32", FACES, BuildOptions())
    lie = encoder.model_copy(update={"outputs": {**encoder.outputs, "z": (47,)}})
    files = {**toy_parts.files, **bundle_files([(lie, data), other])}
    bundle = write_bundle(tmp_path / "lies.aif", toy_parts.manifest, files)
    with pytest.raises(BundleError, match="not what its sidecar says"):
        FaceModel(bundle, "tensorrt")


def test_no_engines(stand_in_card: Any, toy_bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ProviderError, match="no fp32 engine of the encoder") as caught:
        FaceModel(toy_bundle, "tensorrt")
    assert "--build-engines" in str(caught.value.fix)
    with caplog.at_level(logging.INFO):
        assert FaceModel(toy_bundle, "auto").device == "cpu"
    assert "tensorrt" not in caplog.text  # nobody asked for it


@pytest.mark.parametrize("lost", ["tensorrt", "cuda.bindings", "polygraphy.backend.trt"])
def test_without_the_packages(
    lost: str, with_engines: Bundle, plug_in: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    from aif.runtime.tensorrt.library import load_library

    made = make_engines(with_engines, "fp32", FACES, BuildOptions())
    load_library.cache_clear()
    monkeypatch.setitem(sys.modules, lost, None)
    with pytest.raises(ProviderError, match="TensorRT cannot be used") as caught:
        FaceModel(with_engines, "tensorrt")
    assert 'pip install "aif[trt]"' in str(caught.value.fix)
    save_to_cache(made)
    with caplog.at_level(logging.INFO):
        assert FaceModel(with_engines, "auto").device == "cpu"
    assert "TensorRT cannot be used" in caplog.text


@pytest.mark.parametrize("version", ["8.6.1", "9.3.0.post12", "12.0.0.1"])
def test_a_tensorrt_that_aif_is_not_written_for(
    version: str, stand_in_card: Any, plug_in: Any, toy_bundle: Bundle
) -> None:
    stand_in_card.version = version
    plug_in(stand_in_card)
    with pytest.raises(ProviderError, match=f"TensorRT {version} is here"):
        FaceModel(toy_bundle, "tensorrt")


def test_a_library_that_does_not_load(
    stand_in_card: Any, toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`import tensorrt` loads libraries itself, and says so in its own way when one is missing."""

    def find(name: str, *rest: Any) -> None:
        if name == "tensorrt":
            raise OSError("libnvinfer.so.11: cannot open")

    monkeypatch.delitem(sys.modules, "tensorrt")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=find), *sys.meta_path])
    with pytest.raises(ProviderError, match=r"TensorRT cannot be used: libnvinfer\.so\.11: cannot open"):
        FaceModel(toy_bundle, "tensorrt")


def test_a_driver_without_a_function(
    stand_in_card: Any, toy_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise RuntimeError('Function "cudaGetDevice" not found')

    monkeypatch.setattr(sys.modules["cuda.bindings.runtime"], "cudaGetDevice", missing)
    with pytest.raises(ProviderError, match=r"bindings do not fit the driver: Function .* not found"):
        FaceModel(toy_bundle, "tensorrt")


def test_no_driver(stand_in_card: Any, toy_bundle: Bundle) -> None:
    stand_in_card.fails["cudaGetDevice"] = stand_in_card.errors_of_cuda.cudaErrorInsufficientDriver
    with pytest.raises(ProviderError, match="no card to run on: CUDA says cudaErrorInsufficientDriver"):
        FaceModel(toy_bundle, "tensorrt")


@pytest.mark.parametrize("name", ["z", "y", "feature_0", "image"])
@pytest.mark.parametrize("wrong", [1.01, np.nan])
def test_engines_that_stray_do_not_pass(
    name: str, wrong: float, stand_in_card: Any, toy_bundle: Bundle, tmp_path: Path
) -> None:
    figure = {"feature_0": "features", "y": "y_m"}.get(name, name)
    stand_in_card.spoil = lambda tensor, value: value * np.float32(wrong) if tensor == name else value
    with pytest.raises(AifError, match=rf"stray too far from ONNX Runtime on 2 faces: .*\b{figure}"):
        make_engines(toy_bundle, "fp32", FACES, BuildOptions())
    assert not list((tmp_path / "cache").rglob("*.engine"))


def test_what_the_sidecar_says(stand_in_card: Any, toy_bundle: Bundle) -> None:
    options = BuildOptions(workspace=1 << 30, version_compatible=True, hardware_compatible=True)
    for sidecar, engine in make_engines(toy_bundle, "fp32", FACES, options):
        assert sidecar.onnx_sha256 == getattr(toy_bundle.manifest.graphs["fp32"], sidecar.part).sha256
        assert (sidecar.bytes, sidecar.tensorrt, sidecar.capability) == (len(engine), "11.3.0.14", "9.0")
        assert (sidecar.workspace, sidecar.version_compatible, sidecar.hardware_compatible) == (
            1 << 30,
            True,
            True,
        )
        assert set(sidecar.gate) == set(sidecar.limits) == {"z", "features", "y_mean", "y_max", "image"}
        assert (sidecar.gated_on, sidecar.gated_faces) == ("noise", 2)


def test_a_version_compatible_engine_is_loaded_by_a_later_tensorrt(
    stand_in_card: Any, plug_in: Any, toy_bundle: Bundle
) -> None:
    save_to_cache(make_engines(toy_bundle, "fp32", FACES, BuildOptions(version_compatible=True)))
    stand_in_card.version = "11.4.1.5"
    plug_in(stand_in_card)
    assert FaceModel(toy_bundle, "tensorrt").device == "tensorrt"


@pytest.mark.parametrize(
    ("precision", "said"),
    [("int8", "symmetric INT8 only"), ("fp8", "no engines of 'fp8'"), ("", "no engines")],
)
def test_precisions_that_tensorrt_cannot_take(precision: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_buildable([precision])


def test_int8_is_refused_and_never_named_as_a_fix(
    stand_in_card: Any, toy_bundle: Bundle, toy_parts: Any, tmp_path: Path
) -> None:
    pair = toy_parts.manifest.graphs["fp32"]
    graphs = {"fp32": pair, "int8": pair}
    manifest = toy_parts.manifest.model_copy(update={"graphs": graphs})
    bundle = write_bundle(tmp_path / "int8.aif", manifest, toy_parts.files)
    with pytest.raises(ConfigError, match="symmetric INT8 only"):
        FaceModel(bundle, "tensorrt", precision="int8")
    assert "--precision fp16" in build_command(bundle, "int8")


def test_a_precision_whose_engines_do_not_fit_hides_no_other(
    stand_in_card: Any, toy_bundle: Bundle, toy_parts: Any, tmp_path: Path
) -> None:
    pair = toy_parts.manifest.graphs["fp32"]
    manifest = toy_parts.manifest.model_copy(update={"graphs": {"fp16": pair, "fp32": pair}})
    made = make_engines(toy_bundle, "fp32", FACES, BuildOptions())
    foreign = {"precision": "fp16", "tensorrt": "10.1.0.27"}
    others = [
        (sidecar.model_copy(update={**foreign, "file": f"{sidecar.part}.engine"}), engine)
        for sidecar, engine in made
    ]
    files = {**toy_parts.files, **bundle_files([*made, *others])}
    bundle = write_bundle(tmp_path / "mixed.aif", manifest, files)
    assert {each.precision for each in networks_of(bundle, Setup("tensorrt", 1)).values()} == {"fp32"}


def test_a_precision_that_the_bundle_does_not_have(stand_in_card: Any, toy_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="'fp16'"):
        FaceModel(toy_bundle, "tensorrt", precision="fp16")
    with pytest.raises(BundleError, match="'fp16'"):
        make_engines(toy_bundle, "fp16", FACES, BuildOptions())


def test_no_faces_for_the_gate(stand_in_card: Any, toy_bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="checked on faces"):
        make_engines(toy_bundle, "fp32", GateFaces(FACES.crops_nchw[:0], "none"), BuildOptions())


def test_a_cache_that_cannot_be_written(
    stand_in_card: Any, toy_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_engines(toy_bundle, "fp32", FACES, BuildOptions())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIF_CACHE", str(tmp_path / "file"))
    with pytest.raises(AifError, match="cannot be kept"):
        save_to_cache(made)


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA driver here")
@pytest.mark.parametrize(
    ("precision", "options"),
    [("fp32", BuildOptions()), ("fp32", BuildOptions(version_compatible=True)), ("fp16", BuildOptions())],
)
def test_on_a_real_card(
    precision: str, options: BuildOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The embedded bundle: built, let through the gate, loaded, and run with and without CUDA graphs."""
    pytest.importorskip("tensorrt", reason="TensorRT is not installed")
    monkeypatch.setenv("AIF_CACHE", str(tmp_path))
    bundle = Bundle.open()
    if precision not in bundle.manifest.graphs:
        pytest.skip(f"the embedded bundle has no graphs in {precision}")
    plain = FaceModel(bundle, "cpu")
    size = plain.image_size
    faces = np.random.default_rng(0).random((17, 3, size, size), dtype=np.float32)
    save_to_cache(make_engines(bundle, precision, GateFaces(faces[:4], "noise"), options))
    for cuda_graph in (False, True):
        model = FaceModel(bundle, "tensorrt", precision=precision, cuda_graph=cuda_graph)
        for count in (1, 2, 16, 1, 17, 2):
            found, wanted = model.encode(faces[:count]), plain.encode(faces[:count])
            np.testing.assert_allclose(found.z, wanted.z, atol=1e-2)
            pair = [m.decode_both(e, e.y, 1 - e.y) for m, e in ((model, found), (plain, wanted))]
            for one, other in zip(*pair, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-2)
