"""TensorRT engines in a Triton repository: models of their own, where they fit."""

from __future__ import annotations

import json

import pytest
from sidecars import sidecar
from triton_repository import GPU, configs

from aif.export.triton.repository import TritonOptions, export_triton
from aif.runtime.bundle.bundle import write_bundle
from aif.runtime.tensorrt.sidecar import PARTS


def engines(bundle, *cards, tensorrt="10.13.3.9", **changes):
    """Files of an `engines/` folder, as aif-export writes them; the engines themselves are only bytes."""
    files, pair = {}, bundle.manifest.graphs["fp32"]
    for card in cards:
        for part, graph in zip(PARTS, (pair.encoder, pair.decoder), strict=True):
            stem = f"{part}.fp32.trt{tensorrt}.sm{card.replace('.', '')}"
            data = f"plan of the {part} for {card}".encode()
            known = {"part": part, "precision": "fp32", "file": f"{stem}.engine", "capability": card}
            profile = {"min": 1, "opt": 4, "max": 8}
            described = sidecar(data, **known, onnx_sha256=graph.sha256, profile=profile, tensorrt=tensorrt)
            text = json.dumps(described.model_dump() | changes).encode()
            files[f"{stem}.engine"], files[f"{stem}.json"] = data, text
    return files


def with_engines(bundle, place, files):
    graphs = {info.file: bundle.graph_bytes("fp32", part) for part, info in bundle.manifest.graphs["fp32"]}
    return write_bundle(place, bundle.manifest, graphs | {f"engines/{n}": data for n, data in files.items()})


def test_engines_become_models_of_their_own(small_bundle, tmp_path):
    bundle = small_bundle()
    bundle = with_engines(bundle, tmp_path / "with.aif", engines(bundle, "8.9", "9.0"))
    path = export_triton(bundle, tmp_path / "r", TritonOptions(threads=1)).path
    found = configs(path)
    config = found["small_one_trt_fp32_encoder"]
    assert (config.backend, config.max_batch_size, config.instance_group[0].kind) == ("tensorrt", 8, GPU)
    assert not config.parameters, "threads are the processor's"
    assert dict(config.cc_model_filenames) == {"8.9": "model_sm89.plan", "9.0": "model_sm90.plan"}
    for card, name in config.cc_model_filenames.items():
        plan = path / "small_one_trt_fp32_encoder" / "1" / name
        assert plan.read_text() == f"plan of the encoder for {card}"
    assert found["small_one_trt_fp32"].max_batch_size == 8 and found["small_one_fp32"].max_batch_size == 16
    steps = {step.model_name for step in found["small_one_trt_fp32"].ensemble_scheduling.step}
    assert steps == {"small_one_trt_fp32_encoder", "small_one_values", "small_one_trt_fp32_decoder"}
    alone = export_triton(bundle, tmp_path / "none", TritonOptions(engines=False))
    assert alone.ensembles == ("small_one_fp32",)


def test_one_card_and_several_versions_of_tensorrt(small_bundle, tmp_path):
    bundle = small_bundle()
    one = with_engines(bundle, tmp_path / "one.aif", engines(bundle, "8.6"))
    config = configs(export_triton(one, tmp_path / "one").path)["small_one_trt_fp32_decoder"]
    assert config.default_model_filename == "model.plan" and not config.cc_model_filenames
    both = engines(bundle, "8.6") | engines(bundle, "8.6", tensorrt="11.0.1")
    report = export_triton(with_engines(bundle, tmp_path / "two.aif", both), tmp_path / "two")
    assert report.ensembles == ("small_one_fp32", "small_one_trt10_13_3_9_fp32", "small_one_trt11_0_1_fp32")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"onnx_sha256": "0" * 64}, "another graph"),
        ({"precision": "fp16"}, "another graph"),
        ({"sha256": "0" * 64}, "not the engine"),
        ({"profile": {"min": 2, "opt": 4, "max": 8}}, "single ones"),
        ({"file": "../../etc/passwd"}, "at file"),
        ({"part": "detector"}, "at part"),
        (None, "no decoder to go with it"),
    ],
)
def test_engines_that_cannot_be_served_are_left_out(small_bundle, tmp_path, caplog, changes, said):
    bundle = small_bundle()
    wrong = engines(bundle, "8.9", **(changes or {}))
    if changes is None:
        wrong = {name: data for name, data in wrong.items() if name.startswith("encoder")}
    both = with_engines(bundle, tmp_path / "both.aif", wrong | engines(bundle, "8.6"))
    with caplog.at_level("WARNING", "aif"):
        report = export_triton(both, tmp_path / "r")
    assert report.ensembles == ("small_one_fp32", "small_one_trt_fp32")
    assert not configs(report.path)["small_one_trt_fp32_encoder"].cc_model_filenames, "the one for 8.6 alone"
    assert said in caplog.text and "left out" in caplog.text
    alone = export_triton(with_engines(bundle, tmp_path / "wrong.aif", wrong), tmp_path / "r")
    assert alone.ensembles == ("small_one_fp32",)


def test_a_precision_chooses_among_engines_too(small_bundle, tmp_path, caplog):
    bundle = small_bundle(("fp32", "fp16"))
    half = {
        name.replace("fp32", "fp16"): data.replace(b"fp32", b"fp16")
        for name, data in engines(bundle, "8.9").items()
    }
    bundle = with_engines(bundle, tmp_path / "with.aif", engines(bundle, "8.9") | half)
    for chosen in (("fp16",), ("fp32",), ()):
        report = export_triton(bundle, tmp_path / "r", TritonOptions(precisions=chosen))
        wanted = {f"small_one{kind}_{each}" for kind in ("", "_trt") for each in chosen or ("fp16", "fp32")}
        assert set(report.ensembles) == wanted
    assert not caplog.text
