"""A Triton model repository: every configuration read back by Triton's own schema, against the graphs."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from made_up_face import face_picture, face_points
from tiny_bundles import similarity_parts
from triton_repository import CPU, GPU, configs, schema

from aif.cli.main import load_command
from aif.export.triton.repository import TritonOptions, export_triton
from aif.export.triton.values import values_graph
from aif.runtime.bundle.manifest import AttributeInfo, parse_manifest
from aif.runtime.editing.editor import Editor
from aif.runtime.editing.values import decode_values
from aif.runtime.errors import BundleError, ConfigError, ExportError
from aif.runtime.faces.detect import Detection
from aif.runtime.geometry.points import five_points
from aif.runtime.model.model import FaceModel

MessageToDict = pytest.importorskip("google.protobuf.json_format").MessageToDict


class LocalAnswers:
    """A client that needs no server: the repository's own graphs answer its requests, in Triton's types."""

    def __init__(self, repository):
        self.repository, self.asked = repository, []

    def get_model_config(self, name, as_json):
        return {"config": MessageToDict(configs(self.repository)[name], preserving_proto_field_name=True)}

    def infer(self, name, inputs, outputs):
        fed = {
            each.name(): np.frombuffer(each._get_content(), np.float32).reshape(each.shape())
            for each in inputs
        }
        self.asked.append((name, len(next(iter(fed.values())))))
        session = ort.InferenceSession(self.repository / name / "1" / "model.onnx")
        names = [each.name() for each in outputs]
        found = dict(zip(names, session.run(names, fed), strict=True))
        return SimpleNamespace(as_numpy=found.__getitem__)


def served_model(bundle, repository, name, monkeypatch):
    """The example client's model, and what answers it."""
    client = LocalAnswers(repository)
    monkeypatch.setattr("tritonclient.grpc.InferenceServerClient", lambda url: client)
    example = runpy.run_path(str(Path(__file__).parents[3] / "docs" / "examples" / "triton_client.py"))
    return example["ServedModel"](bundle, "nowhere", name), client


@pytest.mark.parametrize("shaped", [False, True])
def test_the_example_client_answers_as_the_local_model(
    small_bundle, shaped_bundle, tmp_path, monkeypatch, shaped
):
    bundle = shaped_bundle if shaped else small_bundle()
    name = "small_two_fp32" if shaped else "small_one_fp32"
    path = export_triton(bundle, tmp_path / "r", TritonOptions(max_batch=4)).path
    there, client = served_model(bundle, path, name, monkeypatch)
    rng = np.random.default_rng(0)
    crops = rng.random((3, 3, 32, 32), dtype=np.float32)
    points = None
    if shaped:
        noise = rng.normal(0, 0.01, (3, 221, 2))
        points = (bundle.manifest.face_frame.mean[None] + noise).astype(np.float32)
    found = []
    for model in (there, FaceModel(bundle, "cpu", 1)):
        encoding = model.encode(crops, points)
        found.append(model.decode_both(encoding, encoding.y, 1 - encoding.y))
    for served, local in zip(*found, strict=True):
        np.testing.assert_allclose(served.image, local.image, atol=1e-6)
        assert (served.landmarks is not None) == shaped
        if shaped:
            np.testing.assert_allclose(served.landmarks, local.landmarks, atol=1e-6)
    assert np.abs(found[0][1].image - found[0][0].image).max() > 0.005, "the edit shows"
    assert client.asked == [(f"{name}_encoder", 3), (f"{name}_decoder", 4), (f"{name}_decoder", 2)]


def test_the_example_client_edits_a_picture_as_the_local_editor_does(shaped_bundle, tmp_path, monkeypatch):
    """Landmarks and mean shape come from the bundle at hand; only the two networks are elsewhere."""
    path = export_triton(shaped_bundle, tmp_path / "r").path
    there, _ = served_model(shaped_bundle, path, "small_two_fp32", monkeypatch)
    picture = cv2.resize(face_picture(face_points(2.0), 128), (256, 256))
    face = Detection(np.array([32, 52, 192, 192], np.float32), five_points(face_points() * 2), 1.0)
    finder = SimpleNamespace(detect=lambda frame: [face], close=lambda: None)
    images = [
        Editor(model, finder).edit(picture, {"Smiling": 1.0}).image_hwc_bgr.astype(int)
        for model in (there, FaceModel(shaped_bundle, "cpu", 1))
    ]
    assert np.abs(images[0] - images[1]).max() <= 1
    assert np.abs(images[0] - picture).max() > 10, "the edit shows"


def test_the_example_client_asks_for_its_own_bundle(small_bundle, tmp_path, monkeypatch):
    path = export_triton(small_bundle(), tmp_path / "r").path
    with pytest.raises(BundleError, match="serves another bundle"):
        served_model(small_bundle(version="4"), path, "small_one_fp32", monkeypatch)


def test_a_repository_holds_all_precisions_with_an_ensemble_each(small_bundle, tmp_path):
    report = export_triton(small_bundle(("fp32", "int8")), tmp_path / "repository")
    found = configs(report.path)
    parts = [f"small_one_{label}{end}" for label in ("fp32", "int8") for end in ("", "_decoder", "_encoder")]
    assert sorted(found) == sorted([*parts, "small_one_values"]) == list(report.models)
    assert report.ensembles == ("small_one_fp32", "small_one_int8")
    assert all(name == config.name for name, config in found.items())
    size = sum(file.stat().st_size for file in report.path.glob("*/**/*") if file.is_file())
    assert report.bytes == size
    assert not list(tmp_path.glob(".*")), "nothing is left beside it"


@pytest.mark.parametrize("kind", ["encoder", "decoder", "values"])
def test_inputs_and_outputs_are_the_graphs_without_the_batch(small_bundle, tmp_path, kind):
    path = export_triton(small_bundle(), tmp_path / "repository").path
    name = "small_one_values" if kind == "values" else f"small_one_fp32_{kind}"
    config = configs(path)[name]
    session = ort.InferenceSession(path / name / "1" / config.default_model_filename)
    for known, real in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert {each.name: list(each.dims) for each in known} == {each.name: each.shape[1:] for each in real}
        assert all(each.data_type == schema.TYPE_FP32 for each in known)
        assert all(isinstance(each.shape[0], str) for each in real), "Triton puts the batch in front"


@pytest.mark.parametrize("shaped", [False, True])
def test_the_ensemble_joins_only_what_exists_with_shapes_that_fit(
    small_bundle, shaped_bundle, tmp_path, shaped
):
    bundle = shaped_bundle if shaped else small_bundle()
    found = configs(export_triton(bundle, tmp_path / "repository").path)
    ensemble = found["small_two_fp32" if shaped else "small_one_fp32"]
    manifest = parse_manifest(ensemble.parameters["aif_manifest"].string_value, "the server")
    assert manifest == bundle.manifest.without_files()
    known = {each.name: list(each.dims) for each in ensemble.input}
    made: dict[str, list[int]] = {}
    for step in ensemble.ensemble_scheduling.step:
        model = found[step.model_name]
        assert {each.name for each in model.input} == set(step.input_map)
        made |= {step.output_map[e.name]: list(e.dims) for e in model.output if e.name in step.output_map}
        assert set(step.output_map) <= {each.name for each in model.output}
    tensors = known | made
    for step in ensemble.ensemble_scheduling.step:
        for each in found[step.model_name].input:
            assert tensors[step.input_map[each.name]] == list(each.dims)
    size = [3, 32, 32]
    outputs = {"edited_image": size, "y": [2], "reconstruction": size}
    if shaped:
        more = {"landmarks": [221, 2], "detail": [3, 8, 8]}
        outputs |= {f"{w}_{name}": dims for w in ("edited", "reconstruction") for name, dims in more.items()}
    assert {each.name: list(each.dims) for each in ensemble.output} == outputs
    assert ("feature_0" in made) != shaped
    assert set(known) == {"image", "y_target", *(["landmarks"] if shaped else [])}


def test_warm_up_samples_and_labels_are_there(small_bundle, tmp_path):
    path = export_triton(small_bundle(), tmp_path / "repository", TritonOptions(max_batch=16)).path
    for name, config in configs(path).items():
        for output in config.output:
            if output.label_filename:
                assert (path / name / output.label_filename).read_text() == "Red\nBlue\n"
        if name.endswith(("encoder", "decoder")):
            assert [each.batch_size for each in config.model_warmup] == [1, 4, 8, 16]
        for each in config.model_warmup:
            assert set(each.inputs) == {entry.name for entry in config.input}
            for entry in each.inputs.values():
                sample = np.fromfile(path / name / "warmup" / entry.input_data_file, np.float32)
                assert sample.size == np.prod(entry.dims) and np.isfinite(sample).all()
    labelled = [n for n, c in configs(path).items() if any(each.label_filename for each in c.output)]
    assert labelled == ["small_one_fp32", "small_one_fp32_encoder"]


@pytest.mark.parametrize(
    ("options", "group", "batch", "sizes"),
    [
        (TritonOptions(), (CPU, 1), 16, [4, 8, 16]),
        (TritonOptions(device="gpu", instances=2, max_batch=64), (GPU, 2), 64, [16, 32, 64]),
        (TritonOptions(max_batch=1), (CPU, 1), 1, []),
        (TritonOptions(max_batch=3, threads=2), (CPU, 1), 3, [3]),
    ],
)
def test_options_reach_the_configurations(small_bundle, tmp_path, options, group, batch, sizes):
    found = configs(export_triton(small_bundle(), tmp_path / "repository", options).path)
    encoder, values, ensemble = (found[f"small_one_{n}"] for n in ("fp32_encoder", "values", "fp32"))
    (placed,) = encoder.instance_group
    assert (placed.kind, placed.count) == group
    assert encoder.max_batch_size == ensemble.max_batch_size == values.max_batch_size == batch
    assert list(encoder.dynamic_batching.preferred_batch_size) == sizes
    assert (encoder.dynamic_batching.max_queue_delay_microseconds > 0) == bool(sizes)
    assert values.instance_group[0].kind == CPU, "so little work is nothing for a GPU"
    threads = encoder.parameters["intra_op_thread_count"].string_value
    assert threads == ("" if options.threads is None else str(options.threads))


FOUR = (
    AttributeInfo(
        name="Smile",
        takes_along={"Open": 0.6, "Old": 0.3},
        takes_along_off={"Open": 0.9},
        excludes=("Sad",),
        on=1.7,
        off=-0.4,
    ),
    AttributeInfo(name="Open", on=0.5, off=0.25),
    AttributeInfo(name="Sad", excludes=("Smile", "Open"), maximum=1.5),
    AttributeInfo(name="Old", takes_along={"Open": 1.0}, off=0.8),
)


@pytest.mark.parametrize("policy", ["predicted", "rounded"])
def test_the_values_graph_does_what_the_local_runtime_does(policy):
    """Calibration, company and exclusion of edits included, each face with edits of its own."""
    fields = {"attributes": FOUR, "source_values": policy}
    session = ort.InferenceSession(values_graph(similarity_parts().manifest.model_copy(update=fields)))
    y = np.random.default_rng(0).random((5, 4), dtype=np.float32)
    edits = (
        {0: 1.0},
        {0: 0.0},
        {0: -1.0},
        {0: 2.0},
        {0: 1.0, 1: 0.2},
        {2: 1.0},
        {2: 0.4, 3: 1.0},
        {0: 1, 3: 0},
    )
    for wanted_by in edits:
        target = np.full_like(y, np.nan)
        for column, value in wanted_by.items():
            target[1::2, column] = value
        source, edit = session.run(["y_source", "y_edit"], {"y": y, "y_target": target})
        before, after = decode_values(y, wanted_by, FOUR, policy)
        np.testing.assert_allclose(source, before, atol=1e-6)
        np.testing.assert_allclose(edit[1::2], after[1::2], atol=1e-6)
        np.testing.assert_array_equal(edit[::2], source[::2])


def test_values_beyond_the_range_are_moved_to_its_end(small_bundle):
    session = ort.InferenceSession(values_graph(small_bundle().manifest))
    wild = np.array([[9, -9], [-np.inf, np.inf]], np.float32)
    (edit,) = session.run(["y_edit"], {"y": np.zeros_like(wild), "y_target": wild})
    np.testing.assert_array_equal(edit, [[2, 0], [-1, 1]])


def test_an_earlier_export_is_replaced_and_nothing_else(small_bundle, tmp_path):
    place, bundle = tmp_path / "repository", small_bundle()
    place.mkdir()
    export_triton(small_bundle(("fp32", "fp16")), place)
    export_triton(bundle, place, TritonOptions(name="other/name"))
    assert sorted(each.name for each in place.iterdir()) == [
        "aif_repository.json",
        *(f"other_name_{end}" for end in ("fp32", "fp32_decoder", "fp32_encoder", "values")),
    ]
    config = place / "other_name_fp32" / "config.pbtxt"
    before = config.read_text()
    config.write_text(before + "\n# tuned by hand\n")
    with pytest.raises(ConfigError, match="changed since"):
        export_triton(bundle, place)
    config.write_text(before)
    (place / "mine").mkdir()
    (place / "mine" / "config.pbtxt").write_text("")
    with pytest.raises(ConfigError, match=r"also holds mine/config\.pbtxt"):
        export_triton(bundle, place)
    assert (place / "other_name_fp32").is_dir()


@pytest.mark.parametrize("record", [None, "", '{"files": 3}', "[]"])
def test_a_folder_of_somebody_else_is_left_alone(small_bundle, tmp_path, record):
    (tmp_path / "thesis.tex").write_text("all my work")
    if record is not None:
        (tmp_path / "aif_repository.json").write_text(record)
    with pytest.raises(ConfigError, match="not overwritten"):
        export_triton(small_bundle(), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "all my work"
    with pytest.raises(ExportError, match="Cannot write"):
        export_triton(small_bundle(), tmp_path / "thesis.tex" / "repository")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (TritonOptions(instances=0), "--instances"),
        (TritonOptions(max_batch=2000), "--max-batch"),
        (TritonOptions(threads=0), "--threads"),
        (TritonOptions(threads=1, device="gpu"), "--threads"),
        (TritonOptions(device="tpu"), "--device"),
        (TritonOptions(precisions=("fp16",)), "fp16"),
    ],
)
def test_options_that_make_no_sense(small_bundle, tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        export_triton(small_bundle(), tmp_path / "repository", options)
    assert not (tmp_path / "repository").exists()


def test_an_unlisted_feature_is_refused(small_bundle, tmp_path):
    with pytest.raises(BundleError, match="feature_0"):
        export_triton(small_bundle(features=()), tmp_path / "repository")


def test_the_command(tmp_path, capsys, small_bundle):
    bundle, out = small_bundle(attributes=(AttributeInfo(name="A"), AttributeInfo(name="B"))), tmp_path / "r"

    def run(*words):
        with pytest.raises(SystemExit) as stopped:
            load_command("export-serving")(args=[str(word) for word in words], prog_name="aif export-serving")
        said = capsys.readouterr()
        return int(stopped.value.code or 0), said.out + said.err

    code, said = run("triton", bundle.path, "-o", out, "--max-batch", 4)
    assert code == 0 and "4 models" in said and f"--model-repository {out}" in said
    assert json.loads((out / "aif_repository.json").read_text())["bundle"] == "small one"
    assert configs(out)["small_one_fp32"].max_batch_size == 4
    for words, wanted, text in (
        (("tensorflow", bundle.path, "-o", out), 2, "Known: triton"),
        (("triton", tmp_path / "none.aif", "-o", tmp_path / "new"), 1, "no bundle"),
        (("triton", bundle.path, "-o", out), 2, "--overwrite"),
        (("triton", bundle.path, "-o", tmp_path, "--overwrite"), 2, "not overwritten"),
        (("triton", bundle.path, "-o", tmp_path / "new", "--precision", "int4"), 2, "int4"),
    ):
        code, said = run(*words)
        assert code == wanted and text in said and "Traceback" not in said
