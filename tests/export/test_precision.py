"""From FP32 graphs to a bundle of several precisions: what the manifest says, and what stops it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import onnx
import pytest
from made_up_face import face_points
from sidecars import sidecar
from tiny_bundles import sha256, shape_parts

from aif.export.graphs import faces as faces_module
from aif.export.graphs import stored as stored_module
from aif.export.graphs.stored import store_as_half, stored_weights
from aif.export.precision import precision as precision_module
from aif.export.precision.precision import add_precisions, extend_bundle, measure_speedup
from aif.export.request import parse_precisions
from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.bundle.storage import open_store
from aif.runtime.errors import ConfigError, ExportError
from aif.runtime.faces.landmarks import DenseFaces
from aif.runtime.model import gate as gate_module
from aif.runtime.model.model import FaceModel
from aif.runtime.tensorrt.store import bundle_files
from aif.train.data.synthetic import SyntheticFaces


@pytest.fixture(autouse=True)
def short_timing(monkeypatch):
    monkeypatch.setattr(precision_module, "SPEED_SECONDS", 0.001)
    monkeypatch.setattr(precision_module, "SPEED_ROUNDS", 1)


@pytest.fixture(scope="module")
def extended(toy, faces):
    """Manifest and files with both precisions."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(precision_module, "SPEED_SECONDS", 0.001)
        return add_precisions(toy.manifest, toy.files, ("fp16", "int8"), faces)


def limits(monkeypatch, precision, **values):
    """Allow other figures."""
    known = gate_module.LIMITS
    monkeypatch.setattr(gate_module, "LIMITS", {**known, precision: {**known[precision], **values}})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("fp32", ()), ("int8,fp16", ("fp16", "int8")), (" FP16 , Int8,, int8", ("fp16", "int8"))],
)
def test_parsing(text, wanted):
    assert parse_precisions(text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [("fp8", "no precision 'fp8'.*\n.*fp16|int8"), (" , ", "names no precision.*\n.*fp32, fp16, int8")],
)
def test_precisions_that_nobody_knows(text, said):
    with pytest.raises(ConfigError, match=said):
        parse_precisions(text)


def test_the_manifest_tells_how_they_were_made(extended, faces):
    manifest, files = extended
    assert list(manifest.graphs) == ["fp32", "fp16", "int8"] and list(manifest.variants) == ["fp16", "int8"]
    for precision, made in manifest.variants.items():
        assert set(made.gate) == set(made.limits) == {"z", "features", "y_mean", "y_max", "image"}
        assert all(made.gate[name] <= limit for name, limit in made.limits.items())
        assert (made.gated_on.faces, made.gated_on.dataset) == (18, faces.name)
        assert made.gated_on.dataset_fingerprint == faces.fingerprint
        assert made.speedup > 0 and made.processor
        for part in ("encoder", "decoder"):
            entry = getattr(manifest.graphs[precision], part)
            assert entry.file == f"{part}.{precision}.onnx"
            assert entry.sha256 == hashlib.sha256(files[entry.file]).hexdigest()
    half, whole = manifest.variants["fp16"], manifest.variants["int8"]
    assert half.calibrated_on is None and whole.calibrated_on == whole.gated_on
    assert "norms in float32" in half.method and "percentile" in whole.method
    assert whole.float_layers == ()
    assert whole.gate["image"] > half.gate["image"] > 0


def test_what_was_there_stays(toy, extended):
    manifest, files = extended
    assert {name: files[name] for name in toy.files} == toy.files
    new = {"graphs", "variants"}
    assert manifest.model_dump(exclude=new) == toy.manifest.model_dump(exclude=new)
    assert manifest.graphs["fp32"] == toy.manifest.graphs["fp32"] and not toy.manifest.variants
    for name in ("encoder.fp16.onnx", "decoder.int8.onnx"):
        props = {p.key: p.value for p in onnx.load_from_string(files[name]).metadata_props}
        assert props["aif_precision"] == name.split(".")[1]


def test_a_bundle_may_be_extended_in_its_place(toy_path, faces, tmp_path):
    for _ in range(2):
        found = extend_bundle(toy_path, toy_path, ("fp16",), faces)
        assert list(found.manifest.graphs) == ["fp32", "fp16"]
        assert Bundle.open(toy_path).manifest == found.manifest and list(tmp_path.iterdir()) == [toy_path]


def test_engines_of_graphs_that_are_made_anew_go(toy, toy_path, faces, tmp_path):
    origins = {"fp32": toy.manifest.graphs["fp32"].encoder.sha256, "fp16": "0" * 64}
    engines = [
        (sidecar(b"x", precision=name, file=f"{name}.engine", onnx_sha256=sha), b"x")
        for name, sha in origins.items()
    ]
    write_bundle(tmp_path / "engines.aif", toy.manifest, {**toy.files, **bundle_files(engines)})
    extend_bundle(tmp_path / "engines.aif", tmp_path / "engines.aif", ("fp16",), faces)
    with open_store(tmp_path / "engines.aif") as store:
        found = sorted(name for name in store.names() if name.startswith("engines/"))
    assert found == ["engines/fp32.engine", "engines/fp32.json"]


def test_a_failed_gate_writes_nothing(toy_path, faces, tmp_path, monkeypatch):
    """Of two precisions one fails: there is no half of it, and the bundle is as it was."""
    limits(monkeypatch, "int8", z=1e-9)
    monkeypatch.setattr(precision_module, "MOST_FLOAT", 0)
    before = toy_path.read_bytes()
    with pytest.raises(ExportError, match="The int8 graphs stray too far"):
        extend_bundle(toy_path, toy_path, ("fp16", "int8"), faces)
    assert toy_path.read_bytes() == before and list(tmp_path.iterdir()) == [toy_path]


def test_the_last_convolutions_stay_in_float_where_the_gate_asks_for_it(toy, extended, faces, monkeypatch):
    """A limit just below the figure of INT8 throughout costs one layer; one that none can meet, all."""
    limits(monkeypatch, "int8", image=0.98 * extended[0].variants["int8"].gate["image"])
    made = add_precisions(toy.manifest, toy.files, ("int8",), faces)[0].variants["int8"]
    assert made.float_layers == ("decoder/node_j",)
    assert made.limits["image"] >= made.gate["image"]
    limits(monkeypatch, "int8", image=1e-9)
    with pytest.raises(ExportError, match="stray too far"):
        add_precisions(toy.manifest, toy.files, ("int8",), faces)


@pytest.mark.parametrize("vnni", [True, False])
def test_warnings(toy, monkeypatch, vnni):
    """Of synthetic faces, and of a processor that cannot multiply bytes."""
    monkeypatch.setattr(precision_module, "multiplies_int8", lambda: vnni)
    wanted = ("fp16", "int8") if vnni else ("int8",)
    variants = add_precisions(toy.manifest, toy.files, wanted, SyntheticFaces(32, 16))[0].variants
    first, *more = variants["int8"].warnings
    assert "Calibrated and checked on synthetic faces" in first and variants["int8"].calibrated_on.synthetic
    assert ["VNNI" in text for text in more] == [True] * (not vnni)
    if vnni:
        assert variants["fp16"].warnings == ("Checked on synthetic faces; photographs may fare worse.",)


def test_no_fp32_to_start_from(toy, faces):
    fields = {**toy.manifest.model_dump(), "graphs": {"fp16": toy.manifest.graphs["fp32"]}}
    with pytest.raises(ExportError, match="no FP32 graphs"):
        add_precisions(type(toy.manifest).model_validate(fields), toy.files, ("int8",), faces)


def test_speedup_is_the_time_of_fp32_over_the_other(toy, monkeypatch):
    real, factor = precision_module.bench_networks, {"aif": 3.0, "made": 1.5}

    def slowed(rivals, size, batches, *rest):
        assert (size, batches, [(setup.provider, setup.threads) for setup in rivals]) == (
            16,
            (1,),
            [("cpu", 1)],
        )
        return [
            replace(row, stages={"call": {**row.stages["call"], "p50_ms": factor[row.labels["name"]]}})
            for row in real(rivals, size, batches, *rest)
        ]

    monkeypatch.setattr(precision_module, "bench_networks", slowed)
    assert measure_speedup(toy.graphs, toy.graphs, toy.manifest) == 2.0


class Lit:
    """A landmark network that finds the made-up face everywhere."""

    def __init__(self, source):
        assert source

    def in_crops(self, crops_nhwc_bgr):
        found = DenseFaces.none(len(crops_nhwc_bgr))
        found.points[:] = face_points() * crops_nhwc_bgr.shape[1] / 128
        return found


@pytest.fixture
def easy_landmarks(monkeypatch):
    monkeypatch.setattr(faces_module, "LandmarkNet", Lit)


def test_a_model_with_shape_in_each_precision(shape_toy, faces, tmp_path, shape_faces, easy_landmarks):
    """Convolutions alone change their type; landmarks stay where they were."""
    manifest, files = add_precisions(shape_toy.manifest, shape_toy.files, ("fp16", "int8"), faces)
    for precision, made in manifest.variants.items():
        assert set(made.gate) == {"z", "y_mean", "y_max", "image", "landmarks", "detail"}, precision
        assert made.gate["landmarks"] <= made.limits["landmarks"]
    assert "convolutions" in manifest.variants["fp16"].method
    half = onnx.load_from_string(files["decoder.fp16.onnx"]).graph
    types = {tensor.name: tensor.data_type for tensor in half.initializer}
    assert types["mid.weight.fp16"] == types["last.weight.fp16"] == onnx.TensorProto.FLOAT16
    assert "mid.weight" not in types
    assert types["points.weight"] == types["input.weight"] == onnx.TensorProto.FLOAT
    bundle = write_bundle(tmp_path / "s.aif", manifest, files)
    given = shape_faces.images[:3], shape_faces.landmarks[:3]
    decoded = {}
    for precision in manifest.graphs:
        model = FaceModel(bundle, threads=1, precision=precision)
        encoding = model.encode(*given)
        decoded[precision] = model.decode(encoding, 1 - encoding.y)
    for precision in ("fp16", "int8"):
        assert np.abs(decoded[precision].landmarks - decoded["fp32"].landmarks).max() <= 0.004
        assert np.abs(decoded[precision].image - decoded["fp32"].image).max() > 0


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_without_convolutions_there_is_nothing_to_change(precision, faces, easy_landmarks):
    parts = shape_parts()
    with pytest.raises(ExportError, match="no convolutions") as caught:
        add_precisions(parts.manifest, parts.files, (precision,), faces)
    assert f"without {precision}" in str(caught.value)


def test_weights_stored_as_half_stay_so(shape_toy, faces, easy_landmarks, monkeypatch):
    monkeypatch.setattr(stored_module, "SMALLEST", 512)
    files = dict(shape_toy.files)
    pair = {}
    for part in ("encoder", "decoder"):
        files[f"{part}.onnx"] = store_as_half(files[f"{part}.onnx"])
        pair[part] = {"file": f"{part}.onnx", "sha256": sha256(files[f"{part}.onnx"])}
    fields = {**shape_toy.manifest.model_dump(), "graphs": {"fp32": pair}}
    manifest = type(shape_toy.manifest).model_validate(fields)
    manifest, files = add_precisions(manifest, files, ("fp16", "int8"), faces)
    assert list(manifest.variants) == ["fp16", "int8"]
    for precision in ("fp16", "int8"):
        for part in ("encoder", "decoder"):
            found = stored_weights(files[f"{part}.{precision}.onnx"])
            wanted = {"mean.weight"} if part == "encoder" else {"input.weight", "points.weight"}
            assert found >= wanted, precision
