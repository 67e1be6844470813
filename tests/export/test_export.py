"""From a real (short) run to a bundle that the runtime edits with."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch
from made_up_face import made_up_frame
from tiny_bundles import detector_net, landmark_net, matte_net, shape_parts, similarity_parts

from aif.export.bundle import ExportOptions, export_bundle, read_metrics
from aif.export.graphs import files
from aif.export.graphs import stored as stored_module
from aif.export.graphs.crops import first_crops
from aif.export.graphs.exportable import open_exportable, without
from aif.export.graphs.faces import FaceReader
from aif.export.graphs.graphs import export_graphs
from aif.export.graphs.parity import BATCHES, PLAIN, STORED, Parity, check_parity, stored_as_half
from aif.export.graphs.stored import stored_weights
from aif.runtime.bundle import bundle as bundle_module
from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.bundle.manifest import AttributeInfo, HairColour, HairInfo, parse_manifest
from aif.runtime.editing.shape.bare_skin import SIDE, BareSkin
from aif.runtime.errors import BundleError, CheckpointError, ConfigError, ExportError, UnknownAttributeError
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.model.model import FaceModel
from aif.train.config import override
from aif.train.data.synthetic import SyntheticFaces
from aif.train.presets import AUTHORS, RESIDUAL
from aif.train.shape.linear.files import save_linear
from aif.train.shape.linear.networks import LinearDecoder, LinearEncoder
from aif.train.shape.shape_run import ShapeRun
from aif.train.training.loop import LoopOptions, train
from aif.train.training.run import load_run

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


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Options that name tiny networks for landmarks, hair and faces."""
    folder = tmp_path_factory.mktemp("networks")
    (folder / "landmarks.onnx").write_bytes(landmark_net())
    (folder / "matte.onnx").write_bytes(matte_net())
    (folder / "detector.onnx").write_bytes(detector_net())
    return ExportOptions(**{name: folder / f"{name}.onnx" for name in ("landmarks", "matte", "detector")})


SKIN = BareSkin(
    np.eye(SIDE, dtype=bool), np.zeros((SIDE, 3), np.float32), np.ones((SIDE, 3, 2), np.float32), 0.5
)


def linear_run(out):
    """The linear baseline of 32 px with random weights."""
    torch.manual_seed(0)
    encoder, decoder = LinearEncoder(32, 6, 8, 4), LinearDecoder(32, 17, 4)
    encoder.tone_weight.fill_(1 / 256)
    colour = HairColour(lightness=-0.5, red=0.2, blue=-0.2, contrast=0.3)
    names = [AttributeInfo(name=name, on=1.5, off=-0.5) for name in ATTRIBUTES]
    run = ShapeRun(
        encoder=encoder.eval(),
        decoder=decoder.eval(),
        frame=made_up_frame(),
        attributes=tuple(names),
        image_size=32,
        latent_size=17,
        preset="linear",
        steps=1,
        faces_seen=48,
        seed=0,
        data_name="synthetic",
        data_fingerprint="0" * 64,
        hair={"Blond_Hair": HairInfo(on=colour, off=colour)},
        skin=SKIN,
    )
    save_linear(out, run)


PRESETS = {"authors": AUTHORS, "residual": RESIDUAL}


@pytest.fixture(scope="module", params=["authors", "residual", "linear"])
def run_folder(request, tmp_path_factory, faces):
    out = tmp_path_factory.mktemp("runs") / request.param
    if request.param == "linear":
        linear_run(out)
    else:
        options = LoopOptions(accelerator="cpu", workers=0, cache=False, sample_every=0)
        train(override(PRESETS[request.param], SMALL), out, faces, faces, options)
    return out


def seen(model, faces):
    """Faces as the model of a run takes them."""
    return first_crops(faces, FaceReader(model.image_size, model.frame, LandmarkNet(landmark_net())))


@pytest.fixture(scope="module")
def exported(run_folder, tmp_path_factory, faces, networks):
    """What an export said, and its bundle."""
    options = dataclasses.replace(networks, name="tiny", metrics={"mse": 0.5})
    place = tmp_path_factory.mktemp("exported") / "small.aif"
    return export_bundle(open_exportable(run_folder), place, faces, options), Bundle.open(place)


def test_the_bundle_computes_what_the_network_does(run_folder, exported, faces):
    report, bundle = exported
    run = open_exportable(run_folder)
    limits = PLAIN if run.frame is None else STORED
    assert [p.batch for p in report.parity] == list(BATCHES)
    assert all(value <= limits[name] for p in report.parity for name, value in p.differences.items())
    model = FaceModel(bundle)
    some = seen(run, faces).rows(slice(5))
    encoding = model.encode(some.images, some.landmarks)
    with torch.no_grad():
        code = run.encoder(*map(torch.from_numpy, some.feeds().values()))
        wanted = run.decoder(code.mean, 1 - code.y)
    decoded = model.decode(encoding, 1 - encoding.y)
    shaped = run.frame is not None
    image, points = wanted[:2] if shaped else (wanted, None)
    np.testing.assert_allclose(encoding.z, code.mean, atol=1e-3 if shaped else 1e-4)
    np.testing.assert_allclose(decoded.image, image, atol=2e-3 if shaped else 1e-4)
    assert (decoded.landmarks is not None) == shaped
    if shaped:
        np.testing.assert_allclose(decoded.landmarks, points, atol=1e-3)


def test_the_moving_average_is_exported(run_folder):
    from aif.train.training.checkpoint import list_checkpoints, load_checkpoint

    if run_folder.name == "linear":
        pytest.skip("the linear baseline has no steps to average")
    groups, _ = load_checkpoint(list_checkpoints(run_folder / "checkpoints")[-1])
    weights = load_run(run_folder).encoder.mean.weight
    assert ("ema" in groups) == (run_folder.name != "authors")
    if "ema" in groups:
        assert torch.equal(weights, groups["ema"]["encoder.mean.weight"])
        assert not torch.equal(weights, groups["networks"]["encoder.mean.weight"])
    else:
        assert torch.equal(weights, groups["networks"]["encoder.mean.weight"])


def test_manifest_and_graphs_explain_themselves(run_folder, exported):
    shaped, bundle = run_folder.name == "linear", exported[1]
    manifest = bundle.manifest
    size, latent = (32, 17) if shaped else (64, 8)
    assert (manifest.name, manifest.image_size, manifest.latent_size) == ("tiny", size, latent)
    assert manifest.provenance.dataset == "synthetic" and manifest.provenance.faces_seen == 48
    assert manifest.provenance.metrics == {"mse": 0.5}
    assert set(manifest.parity["fp32"]) == set(BATCHES) and manifest.features == ()
    assert manifest.landmarks.input_size == manifest.matte.input_size == 48
    assert bundle.detector_bytes() == detector_net()
    assert (manifest.frame, manifest.compositing) == (
        ("shape", "warp") if shaped else ("similarity", "delta")
    )
    assert (bundle.skin_bytes() == SKIN.stored()) if shaped else manifest.skin is None
    assert (manifest.shape is not None) == shaped and list(manifest.hair) == ["Blond_Hair"] * shaped
    assert {(a.on, a.off) for a in manifest.attributes} == {(1.5, -0.5) if shaped else (1.0, 0.0)}
    for part in ("encoder", "decoder"):
        graph = onnx.load_from_string(bundle.graph_bytes("fp32", part))
        props = {entry.key: entry.value for entry in graph.metadata_props}
        lone = parse_manifest(props["aif"], "graph")
        assert lone.shape == manifest.shape
        assert not any(node.metadata_props or node.doc_string for node in graph.graph.node)  # no paths
        assert props["aif_graph"] == part and lone.attribute_names == ATTRIBUTES
        assert {node.op_type for node in graph.graph.node} & {"BatchNormalization", "RandomNormal"} == set()
        for value in (*graph.graph.input, *graph.graph.output):
            assert value.type.tensor_type.shape.dim[0].dim_param == "N"


@pytest.fixture(scope="module")
def linear_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "linear"
    linear_run(folder)
    return folder


@pytest.fixture(scope="module")
def linear_graphs(linear_folder):
    return export_graphs(open_exportable(linear_folder), "{}")


def test_the_gate_refuses_graphs_that_differ(linear_folder, linear_graphs, faces):
    run = open_exportable(linear_folder)
    some = seen(run, faces)
    assert check_parity(run, linear_graphs, some, STORED)
    with torch.no_grad():
        run.decoder.coarse.weight.add_(0.05)
    with pytest.raises(ExportError, match="differ from the network") as caught:
        check_parity(run, linear_graphs, some, STORED)
    assert "Nothing was written" in str(caught.value)


def test_large_weights_are_stored_as_half_where_they_pass(linear_folder, linear_graphs, faces, monkeypatch):
    """Each for itself: weights that float16 cannot hold well enough stay."""
    run = open_exportable(linear_folder)
    some = seen(run, faces)
    monkeypatch.setattr(stored_module, "SMALLEST", 512)
    small = stored_as_half(run, linear_graphs, some)
    assert "decoder.coarse.weight" in stored_weights(small.decoder)
    assert len(small.decoder) < 0.8 * len(linear_graphs.decoder)
    with torch.no_grad():
        run.decoder.coarse.weight.mul_(30)  # the error of exp() grows with its argument
    stored = stored_weights(stored_as_half(run, export_graphs(run, "{}"), some).decoder)
    assert "decoder.fine.weight" in stored and "decoder.coarse.weight" not in stored


def test_a_model_with_shape_needs_a_landmark_network(linear_folder, tmp_path, faces, networks, monkeypatch):
    monkeypatch.setattr(bundle_module, "EMBEDDED_BUNDLE", tmp_path / "none.aif")
    with pytest.raises(ExportError, match="needs a network of dense landmarks"):
        export_bundle(open_exportable(linear_folder), tmp_path / "x.aif", faces, ExportOptions())
    wrong = {"landmarks": networks.matte, "matte": networks.landmarks, "detector": networks.matte}
    for name, source in wrong.items():
        with pytest.raises(ExportError, match="takes"):
            files.companions(**{name: source})


@pytest.mark.parametrize("embedded", ["old", "none", "without", "both"])
def test_networks_of_the_embedded_bundle(embedded, tmp_path, monkeypatch):
    """An embedded bundle of another schema, or without networks, is as good as none."""
    place = tmp_path / "embedded"
    if embedded != "none":
        parts = shape_parts() if embedded == "both" else similarity_parts(landmarks=None)
        listed = {info.file for info in parts.manifest.files()}
        write_bundle(place, parts.manifest, {n: data for n, data in parts.files.items() if n in listed})
    if embedded == "old":
        text = (place / "manifest.json").read_text()
        (place / "manifest.json").write_text(text.replace('"schema_version": 3', '"schema_version": 2'))
    monkeypatch.setattr(bundle_module, "EMBEDDED_BUNDLE", place)
    found = files.companions(landmarks=None, matte=None, detector=None)
    assert list(found) == (["landmarks", "matte"] if embedded == "both" else [])


@pytest.mark.parametrize("run_folder", ["residual", "linear"], indirect=True)
@pytest.mark.parametrize("mode", ["warp", "delta", "hybrid"])
def test_compositing_modes(mode, run_folder, tmp_path, faces, networks):
    if mode == ("warp" if run_folder.name == "linear" else "delta"):
        return  # as without a choice
    options = dataclasses.replace(networks, compositing=mode)
    with pytest.raises(ConfigError, match="be composited"):
        export_bundle(open_exportable(run_folder), tmp_path / "x.aif", faces, options)


def test_mistakes_are_named(linear_folder, tmp_path, faces, networks):
    with pytest.raises(CheckpointError, match="not a training run"):
        open_exportable(tmp_path)
    few = SyntheticFaces(3, attributes=ATTRIBUTES)
    with pytest.raises(ExportError, match="16 face crops"):
        export_bundle(open_exportable(linear_folder), tmp_path / "x.aif", few, networks)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "thesis.aif").write_text("not a bundle")
    with pytest.raises(BundleError):
        export_bundle(open_exportable(linear_folder), tmp_path / "thesis.aif", faces, networks)
    assert (tmp_path / "thesis.aif").read_text() == "not a bundle"


def test_not_a_number_is_the_worst_of_all():
    assert not Parity(1, {"z": 0.0, "y": 1e-7, "image": float("nan")}).worst <= 1e-4


@pytest.mark.parametrize("text", ["", "[1]", '{"a": NaN}', '{"a": "much"}', '{"mse": 1}'])
def test_metrics_must_be_names_and_numbers(tmp_path, text):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    if "mse" in text:
        assert read_metrics(path) == {"mse": 1.0}
        return
    with pytest.raises(ExportError, match="names and finite numbers"):
        read_metrics(path)


def test_a_run_is_exported_with_engines(linear_folder, tmp_path, stand_in_card, networks):
    from aif.cli.export.command import export

    beside = {"landmarks": networks.landmarks, "matte": networks.matte}
    export(None, linear_folder, tmp_path / "x.aif", data=None, **beside, trt=True, batch="4")
    bundle = Bundle.open(tmp_path / "x.aif")
    assert FaceModel(bundle, "tensorrt").device == "tensorrt"
    assert len(stand_in_card.builds) == 2
    assert "landmarks" in stand_in_card.builds[0]["profile"]


@pytest.mark.parametrize("run_folder", ["residual", "linear"], indirect=True)
def test_attributes_can_be_left_out(tmp_path, run_folder, faces, networks):
    whole, out = open_exportable(run_folder), tmp_path / "b.aif"
    dropped, *kept = whole.attribute_names
    export_bundle(without(whole, (dropped,)), out, faces, networks)
    model = FaceModel(Bundle.open(out))
    assert list(model.manifest.attribute_names) == kept
    some = seen(whole, faces).rows(slice(5))
    encoding = model.encode(some.images, some.landmarks)
    with torch.no_grad():
        code = whole.encoder(*map(torch.from_numpy, some.feeds().values()))
        y = code.y.clone()
        y[:, 0] = 0
        found = whole.decoder(code.mean, y)
    image = found if whole.frame is None else found[0]
    np.testing.assert_allclose(encoding.y, code.y[:, 1:], atol=1e-3)
    np.testing.assert_allclose(model.decode(encoding, encoding.y).image, image, atol=2e-3)
    for names, error in (((*whole.attribute_names,), ConfigError), (("Nose",), UnknownAttributeError)):
        with pytest.raises(error):
            without(whole, names)
