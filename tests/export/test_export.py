"""From a real (short) run to a bundle that the runtime edits with."""

import dataclasses
import json
import math

import numpy as np
import onnx
import pytest
import torch

from aif.export.bundle import ExportOptions, export_bundle, parity_crops, read_metrics
from aif.export.graphs import export_graphs
from aif.export.parity import BATCHES, TOLERANCE, Parity, check_parity
from aif.runtime.bundle import Bundle
from aif.runtime.errors import BundleError, CheckpointError, ExportError
from aif.runtime.manifest import parse_manifest
from aif.runtime.model import FaceModel
from aif.train.config import override
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluate import Evaluation
from aif.train.loop import LoopOptions, train
from aif.train.measure import measure
from aif.train.presets import AUTHORS, RESIDUAL
from aif.train.run import load_run

ATTRIBUTES = ("Smiling", "Eyeglasses", "Blond_Hair", "Male")
SMALL = [
    "network.width=4",
    "network.latent_size=8",
    "network.aux_hidden=16",
    "optimiser.batch_size=8",
    "steps=6",
    "precision=32-true",
    f"data.attributes={json.dumps(ATTRIBUTES)}",
]


@pytest.fixture(scope="module")
def faces():
    return SyntheticFaces(32, attributes=ATTRIBUTES)


EXTRA = {
    "authors": [],
    "handed": ["network.handed=[16]", "network.inject_y=true"],
    "context": ["network.context=true", "objective.delta=0", "network.decoder_width=8"],
}


@pytest.fixture(scope="module", params=list(EXTRA))
def run_folder(request, tmp_path_factory, faces):
    preset, extra = AUTHORS if request.param == "authors" else RESIDUAL, EXTRA[request.param]
    out = tmp_path_factory.mktemp("runs") / request.param
    options = LoopOptions(accelerator="cpu", workers=0, cache=False, sample_every=0)
    train(override(preset, [*SMALL, *extra]), out, faces, faces, options)
    return out


def test_bundle_reproduces_the_network(run_folder, tmp_path, faces):
    report = export_bundle(run_folder, tmp_path / "small.aif", faces, ExportOptions(landmarks=None))
    assert [p.batch for p in report.parity] == list(BATCHES)
    assert all(p.worst <= TOLERANCE for p in report.parity)
    model = FaceModel(Bundle.open(tmp_path / "small.aif"))
    assert model.attributes == ATTRIBUTES
    run = load_run(run_folder)
    crops = parity_crops(faces, 64)[:5]
    encoding = model.encode(crops)
    with torch.no_grad():
        code = run.encoder(torch.from_numpy(crops))
        image = run.decoder(code.mean, 1 - code.y, code.features).numpy()
    np.testing.assert_allclose(encoding.z, code.mean.numpy(), atol=1e-4)
    np.testing.assert_allclose(model.decode(encoding, 1 - encoding.y), image, atol=1e-4)


def test_what_a_decoder_passes_through_is_not_decoded(run_folder, tmp_path, faces, monkeypatch):
    export_bundle(run_folder, tmp_path / "small.aif", faces, ExportOptions(landmarks=None))
    model = FaceModel(Bundle.open(tmp_path / "small.aif"))
    crops = parity_crops(faces, 64)[:3]
    encoding = model.encode(crops)
    asked, decode = [], model.decode
    monkeypatch.setattr(model, "decode", lambda *given: asked.append(len(given[1])) or decode(*given))
    before, after = model.decode_both(encoding, encoding.y, 1 - encoding.y)
    np.testing.assert_allclose(after, decode(encoding, 1 - encoding.y), atol=1e-6)
    np.testing.assert_allclose(before, decode(encoding, encoding.y), atol=1e-6)
    assert model.manifest.passes_through == (run_folder.name == "context")
    assert sum(asked) == (3 if run_folder.name == "context" else 6)


class Blind:
    """A judge that sees no attribute in any face."""

    attributes, accuracy = ATTRIBUTES, dict.fromkeys(ATTRIBUTES, 1.0)

    def predict(self, crops):
        return torch.zeros(len(crops), len(ATTRIBUTES))


def test_a_reconstruction_that_is_the_photo_itself_has_no_error(run_folder, tmp_path, faces):
    export_bundle(run_folder, tmp_path / "small.aif", faces, ExportOptions(landmarks=None))
    found = measure(FaceModel(Bundle.open(tmp_path / "small.aif")), faces, Blind(), modes=("delta",))
    itself = run_folder.name == "context"
    assert math.isnan(found.mse) == itself and (json.loads(found.to_json())["mse"] is None) == itself
    assert ("is the photo itself" in found.to_markdown()) == itself
    assert ("reconstruction_mse" not in Evaluation(found, ()).summary()) == itself


def test_averaged_values_count_as_read_where_a_decoder_passes_through(run_folder, tmp_path, faces):
    """A film averages y over its frames: what nobody asked for must not be drawn anew for that."""
    export_bundle(run_folder, tmp_path / "small.aif", faces, ExportOptions(landmarks=None))
    model = FaceModel(Bundle.open(tmp_path / "small.aif"))
    encoding = model.encode(parity_crops(faces, 64)[:3])
    before, after = model.decode_both(encoding, 1 - encoding.y, 1 - encoding.y)
    assert np.array_equal(before, after)
    with pytest.raises(ValueError, match="must be"):
        model.decode_both(encoding, encoding.y[:2], encoding.y)


def test_the_moving_average_is_exported(run_folder):
    from aif.train.checkpoint import list_checkpoints, load_checkpoint

    groups, _ = load_checkpoint(list_checkpoints(run_folder / "checkpoints")[-1])
    weights = load_run(run_folder).encoder.mean.weight
    assert ("ema" in groups) == (run_folder.name != "authors")
    if "ema" in groups:
        assert torch.equal(weights, groups["ema"]["encoder.mean.weight"])
        assert not torch.equal(weights, groups["networks"]["encoder.mean.weight"])
    else:
        assert torch.equal(weights, groups["networks"]["encoder.mean.weight"])


def test_manifest_and_graphs_explain_themselves(run_folder, tmp_path, faces):
    export_bundle(run_folder, tmp_path / "b", faces, ExportOptions(name="tiny", metrics={"mse": 0.5}))
    manifest = Bundle.open(tmp_path / "b").manifest
    assert (manifest.name, manifest.image_size, manifest.latent_size) == ("tiny", 64, 8)
    assert manifest.provenance.dataset == "synthetic" and manifest.provenance.faces_seen == 48
    assert manifest.provenance.metrics == {"mse": 0.5}
    assert set(manifest.parity["fp32"]) == set(BATCHES)
    assert len(manifest.features) == {"authors": 0, "handed": 1, "context": 2}[run_folder.name]
    for part in ("encoder", "decoder"):
        graph = onnx.load_from_string(Bundle.open(tmp_path / "b").graph_bytes("fp32", part))
        props = {entry.key: entry.value for entry in graph.metadata_props}
        lone = parse_manifest(props["aif"], "graph")
        assert not any(node.metadata_props or node.doc_string for node in graph.graph.node)  # no paths
        assert props["aif_graph"] == part and lone.attribute_names == ATTRIBUTES
        assert {node.op_type for node in graph.graph.node} & {"BatchNormalization", "RandomNormal"} == set()
        assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_the_gate_refuses_graphs_that_differ(run_folder, faces):
    run = load_run(run_folder)
    graphs = export_graphs(run, "{}")
    crops = parity_crops(faces, 64)
    assert check_parity(run, graphs, crops)
    with torch.no_grad():
        next(iter(run.decoder.parameters())).add_(0.05)
    with pytest.raises(ExportError, match="differ from the network") as caught:
        check_parity(run, graphs, crops)
    assert "Nothing was written" in str(caught.value)


def test_nothing_is_written_when_the_gate_fails(run_folder, tmp_path, faces, monkeypatch):
    monkeypatch.setattr(check_parity, "__defaults__", (-1.0,))
    with pytest.raises(ExportError):
        export_bundle(run_folder, tmp_path / "x.aif", faces)
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_named(run_folder, tmp_path, faces):
    with pytest.raises(CheckpointError, match="not a training run"):
        export_bundle(tmp_path, tmp_path / "x.aif", faces)
    few = SyntheticFaces(3, attributes=ATTRIBUTES)
    with pytest.raises(ExportError, match="16 face crops"):
        export_bundle(run_folder, tmp_path / "x.aif", few)
    (tmp_path / "thesis.aif").write_text("not a bundle")
    with pytest.raises(BundleError):
        export_bundle(run_folder, tmp_path / "thesis.aif", faces)
    assert (tmp_path / "thesis.aif").read_text() == "not a bundle"


def test_not_a_number_is_the_worst_of_all():
    assert not Parity(1, z=0.0, y=1e-7, features=0.0, image=float("nan")).worst <= TOLERANCE


@pytest.mark.parametrize("text", ["", "[1]", '{"a": NaN}', '{"a": "much"}', '{"a": null}'])
def test_metrics_must_be_names_and_numbers(tmp_path, text):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(ExportError):
        read_metrics(path)
    path.write_text(json.dumps({"mse": 1}))
    assert read_metrics(path) == {"mse": 1.0}


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExportOptions().name = "x"  # type: ignore[misc]


@pytest.mark.parametrize("run_folder", ["handed"], indirect=True)
def test_a_run_is_exported_with_engines(run_folder, tmp_path, stand_in_card):
    from aif.cli.export import export

    export(run_folder, tmp_path / "x.aif", trt=True, batch="4")
    bundle = Bundle.open(tmp_path / "x.aif")
    model, plain = FaceModel(bundle, "tensorrt"), FaceModel(bundle, "cpu")
    crops = parity_crops(SyntheticFaces(16, attributes=ATTRIBUTES), 64)[:5]
    assert model.device == "tensorrt"
    off, on = np.zeros((5, len(ATTRIBUTES))), np.ones((5, len(ATTRIBUTES)))
    for one, other in zip(
        model.decode_both(model.encode(crops), off, on),
        plain.decode_both(plain.encode(crops), off, on),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert len(stand_in_card.builds) == 2
