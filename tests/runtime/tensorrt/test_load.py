"""Which engines are taken, what is said where none fits, who may fall back, and the gate at the build."""

import json
import logging
import sys

import numpy as np
import pytest
from made_up_face import face_points

from aif.runtime.bench.measure import Setup
from aif.runtime.bench.networks import networks_of
from aif.runtime.bundle.bundle import write_bundle
from aif.runtime.errors import AifError, BundleError, ConfigError, ProviderError
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.make_engines import make_engines
from aif.runtime.model.model import FaceModel
from aif.runtime.tensorrt.build import BuildOptions
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.store import (
    build_command,
    bundle_files,
    check_buildable,
    find_engines,
    save_to_cache,
)

FACES = FaceInputs(np.random.default_rng(0).random((2, 3, 32, 32), dtype=np.float32))


@pytest.fixture
def made(stand_in_card, toy_bundle):
    """The toy bundle's engines: made(**options)."""
    return lambda **options: make_engines(toy_bundle, "fp32", FACES, "noise", BuildOptions(**options))


@pytest.fixture
def bundle_with(toy_parts, tmp_path):
    """The toy bundle with further files: bundle_with(files, **fields of the manifest)."""

    def make(files, folder=False, **fields):
        manifest = toy_parts.manifest.model_copy(update=fields)
        place = tmp_path / ("toy" if folder else "toy.aif")
        return write_bundle(place, manifest, {**toy_parts.files, **files})

    return make


@pytest.mark.parametrize("folder", [True, False])
def test_engines_of_the_bundle(folder, made, bundle_with):
    bundle = bundle_with(bundle_files(made()), folder)
    assert FaceModel(bundle, "tensorrt").device == "tensorrt"
    assert FaceModel(bundle).device == "cpu"
    engines, faults = find_engines(bundle)
    assert [each.sidecar.part for each in engines] == ["decoder", "encoder"] and not faults


def test_auto_runs_no_engine_that_came_with_a_bundle(made, bundle_with, stand_in_card, caplog):
    """Who opens a stranger's bundle has not asked for the stranger's programs."""
    bundle = bundle_with(bundle_files(made()))
    stand_in_card.runs.clear()
    with caplog.at_level(logging.INFO):
        assert FaceModel(bundle, "auto").device == "cpu"
    assert not stand_in_card.runs and "they are used with --provider tensorrt only" in caplog.text
    save_to_cache(made())
    assert FaceModel(bundle, "auto").device == "tensorrt"


def test_engines_of_the_cache(made, toy_bundle, tmp_path):
    places = save_to_cache(made())
    assert all(place.is_relative_to(tmp_path / "cache" / "engines") for place in places)
    names = sorted(path.name for path in places[0].parent.iterdir())
    assert names == [places[0].name, places[0].with_suffix(".json").name], "nothing half written is left"
    assert FaceModel(toy_bundle, "tensorrt").device == "tensorrt"
    places[0].write_bytes(places[0].read_bytes()[:-1])
    with pytest.raises(ProviderError, match="not the engine that its sidecar describes"):
        FaceModel(toy_bundle, "tensorrt")
    save_to_cache(made())  # what is damaged is replaced
    assert FaceModel(toy_bundle, "tensorrt").device == "tensorrt"
    places[0].unlink()
    with pytest.raises(ProviderError, match="is missing"):
        FaceModel(toy_bundle, "tensorrt")


def test_damaged_sidecars_are_named_on_the_way_to_another_device(made, toy_bundle, caplog):
    for place in save_to_cache(made()):
        place.with_suffix(".json").write_text("{")
    with caplog.at_level(logging.INFO):
        assert FaceModel(toy_bundle, "auto").device == "cpu"
    assert caplog.text.count("is damaged or of another aif") == 2


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
def test_engines_of_another_machine(change, said, made, bundle_with, stand_in_card, plug_in, caplog):
    """TensorRT alone is an error with the command; auto goes on and says why."""
    engines = made()
    bundle = bundle_with(bundle_files(engines))
    save_to_cache(engines)
    vars(stand_in_card).update(change)
    plug_in(stand_in_card)
    with pytest.raises(ProviderError, match=said) as caught:
        FaceModel(bundle, "tensorrt")
    command = f"aif-export {bundle.path} -o {bundle.path} --trt --precision fp32"
    assert command in str(caught.value.fix)
    with caplog.at_level(logging.INFO):
        assert FaceModel(bundle, "auto").device == "cpu"
    assert "Trying CUDA: No TensorRT engines" in caplog.text and "aif-export" in caplog.text


def test_engines_that_run_elsewhere_too(made, toy_bundle, stand_in_card, plug_in, caplog):
    save_to_cache(made(version_compatible=True))
    stand_in_card.version, stand_in_card.name = "11.4.1.5", "Stand-in 9001"
    plug_in(stand_in_card)
    assert FaceModel(toy_bundle, "tensorrt").device == "tensorrt"
    assert "tuned on Stand-in 9000" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda data: {**data, "onnx_sha256": "0" * 64}, ProviderError, "another graph"),
        (lambda data: {**data, "sha256": "0" * 64}, ProviderError, "not the engine that its sidecar"),
        (lambda data: {**data, "file": "elsewhere.engine"}, ProviderError, "elsewhere.engine is missing"),
        (lambda data: {**data, "tensorrt": "none"}, ProviderError, "damaged or of another aif: at tensorrt"),
        (lambda data: [], ProviderError, "damaged"),
        (lambda data: {**data, "outputs": {"image": [3, 16, 16]}}, BundleError, "not what its sidecar says"),
        (lambda data: {**data, "inputs": {"z": [48]}}, BundleError, "does not run: other inputs"),
    ],
)
def test_sidecars_that_lie(spoil, error, said, made, bundle_with):
    files = bundle_files(made())
    name = next(name for name in files if name.startswith("engines/decoder") and name.endswith(".json"))
    files[name] = json.dumps(spoil(json.loads(files[name]))).encode()
    bundle = bundle_with(files)
    with pytest.raises(error, match=said):
        FaceModel(bundle, "tensorrt")
    assert FaceModel(bundle, "auto").device == "cpu"


def test_a_plan_that_tensorrt_refuses(made, bundle_with, stand_in_card, plug_in):
    engines = [(sidecar.model_copy(update={"tensorrt": "11.4.1.5"}), data) for sidecar, data in made()]
    stand_in_card.version = "11.4.1.5"
    plug_in(stand_in_card)
    with pytest.raises(ProviderError, match=r"TensorRT 11\.4\.1\.5 refuses the encoder's engine"):
        FaceModel(bundle_with(bundle_files(engines)), "tensorrt")


def test_no_engines(stand_in_card, toy_bundle, caplog):
    with pytest.raises(ProviderError, match="no fp32 engine of the encoder") as caught:
        FaceModel(toy_bundle, "tensorrt")
    assert "--build-engines" in str(caught.value.fix)
    with caplog.at_level(logging.INFO):
        assert FaceModel(toy_bundle, "auto").device == "cpu"
    assert "tensorrt" not in caplog.text  # nobody asked for it


def test_auto_without_tensorrt(made, toy_bundle, monkeypatch, caplog):
    save_to_cache(made())
    load_library.cache_clear()
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with caplog.at_level(logging.INFO):
        assert FaceModel(toy_bundle, "auto").device == "cpu"
    assert "TensorRT cannot be used" in caplog.text


@pytest.mark.parametrize("name", ["z", "y", "feature_0", "image"])
@pytest.mark.parametrize("wrong", [1.01, np.nan])
def test_engines_that_stray_do_not_pass(name, wrong, stand_in_card, made):
    figure = {"feature_0": "features", "y": "y_m"}.get(name, name)
    stand_in_card.spoil = lambda tensor, value: value * np.float32(wrong) if tensor == name else value
    with pytest.raises(AifError, match=rf"stray too far from the FP32 graphs on 2 faces: .*\b{figure}"):
        made()


def test_engines_that_move_landmarks_do_not_pass(stand_in_card, shape_bundle):
    stand_in_card.spoil = lambda name, value: value + np.float32(0.001 * (name == "landmarks"))
    faces = FaceInputs(FACES.images, np.tile(face_points() / 128, (2, 1, 1)).astype(np.float32))
    with pytest.raises(AifError, match=r"landmarks 0\.0014 \(allowed 0\.0001\)"):
        make_engines(shape_bundle, "fp32", faces, "noise")


def test_what_the_sidecar_says(toy_bundle, made):
    compatible = {"version_compatible": True, "hardware_compatible": True, "workspace": 1 << 30}
    for sidecar, engine in made(**compatible):
        said = sidecar.model_dump()
        assert sidecar.onnx_sha256 == getattr(toy_bundle.manifest.graphs["fp32"], sidecar.part).sha256
        machine = {"bytes": len(engine), "tensorrt": "11.3.0.14", "capability": "9.0"}
        for name, value in {**machine, **compatible, "gated_on": "noise", "gated_faces": 2}.items():
            assert said[name] == value
        assert set(sidecar.gate) == set(sidecar.limits) == {"z", "features", "y_mean", "y_max", "image"}


def test_precisions_that_nobody_knows():
    with pytest.raises(ConfigError, match="no engines of 'fp8'"):
        check_buildable(["fp16", "fp8"])


def test_int8_is_refused_and_never_named_as_a_fix(stand_in_card, bundle_with, toy_parts):
    pair = toy_parts.manifest.graphs["fp32"]
    bundle = bundle_with({}, graphs={"fp32": pair, "int8": pair})
    with pytest.raises(ConfigError, match="symmetric INT8 only"):
        FaceModel(bundle, "tensorrt", precision="int8")
    assert "--precision fp16" in build_command(bundle, "int8")


def test_a_precision_whose_engines_do_not_fit_hides_no_other(made, bundle_with, toy_parts):
    pair = toy_parts.manifest.graphs["fp32"]
    engines = made()
    foreign = {"precision": "fp16", "tensorrt": "10.1.0.27"}
    others = [
        (sidecar.model_copy(update={**foreign, "file": f"{sidecar.part}.engine"}), engine)
        for sidecar, engine in engines
    ]
    bundle = bundle_with(bundle_files([*engines, *others]), graphs={"fp16": pair, "fp32": pair})
    assert FaceModel(bundle, "tensorrt").precision == "fp32"
    assert {each.precision for each in networks_of(bundle, Setup("tensorrt", 1)).values()} == {"fp32"}


def test_what_cannot_be_made(stand_in_card, toy_bundle):
    with pytest.raises(BundleError, match="'fp16'"):
        FaceModel(toy_bundle, "tensorrt", precision="fp16")
    with pytest.raises(BundleError, match="'fp16'"):
        make_engines(toy_bundle, "fp16", FACES, "noise")
    with pytest.raises(ConfigError, match="checked on faces"):
        make_engines(toy_bundle, "fp32", FACES.rows(slice(0)), "none")


def test_a_cache_that_cannot_be_written(made, tmp_path, monkeypatch):
    engines = made()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIF_CACHE", str(tmp_path / "file"))
    with pytest.raises(AifError, match="cannot be kept"):
        save_to_cache(engines)
