"""`aif-export --trt`, `aif-edit --build-engines` and doctor's judgement, on a card that stands in."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pictures import write_crops

from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.bundle.storage import open_store
from aif.runtime.doctor import engines as doctor_engines
from aif.runtime.model.model import FaceModel
from aif.runtime.tensorrt.library import platform_name

MACHINE = f"trt11.3.0.14.sm90.{platform_name()}"


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return write_crops(tmp_path_factory.mktemp("data") / "faces", 32)


@pytest.fixture
def build(aif, bundle, faces, stand_in_card):
    """`aif-export BUNDLE -o OUT --trt WORDS...`, of the toy bundle or what lies at `out` already."""

    def call(out, *words, code=0):
        return aif(
            "export", out if out.exists() else bundle, "-o", out, "--trt", "--data", faces, *words, code=code
        )

    return call


def names(bundle):
    with open_store(bundle) as store:
        return sorted(name for name in store.names() if name.startswith("engines/"))


@pytest.mark.parametrize("out", ["new.aif", "folder"])
def test_engines_go_into_the_bundle(out, build, tmp_path, stand_in_card):
    words = ("--batch", "1,4,8", "--workspace", "1G", "--hardware-compatible")
    said = build(tmp_path / out, *words).text
    assert f"engines/decoder.fp32.{MACHINE}.engine" in said and "1 to 8 faces (tuned for 4)" in said
    assert "fp32 engines against fp32 on 32 faces: z 0" in said and "--provider tensorrt" in said
    stems = [f"engines/{part}.fp32.{MACHINE}" for part in ("decoder", "encoder")]
    assert names(tmp_path / out) == sorted(stem + end for stem in stems for end in (".engine", ".json"))
    for made in stand_in_card.builds:
        assert made["memory_pool_limits"] == {"workspace": 1 << 30}
        assert made["hardware_compatibility_level"] == "ampere and later"
    assert FaceModel(Bundle.open(tmp_path / out), "tensorrt").device == "tensorrt"


def test_engines_of_graphs_that_are_there_need_no_torch(bundle, faces, tmp_path):
    """TensorRT's own environment has neither PyTorch nor the library of ONNX; here it lacks TensorRT, too."""
    lacking = "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'tensorrt'])); "
    words = ["export", str(bundle), "-o", str(tmp_path / "x.aif"), "--trt", "--data", str(faces)]
    code = (
        "from pathlib import Path; from aif.export.graphs.crops import open_crops, spread_crops; "
        "from aif.export.graphs.faces import FaceReader; "
        f"found = spread_crops(open_crops(Path({str(faces)!r}), []), FaceReader(32)); "
        "assert found.images.shape == (32, 3, 32, 32); "
        "import aif.cli.export.command as export; from aif.export.request import EnginePlan; "
        "export._engine_plan = lambda *_: EnginePlan(('fp32',), None); "
        f"from aif.cli.main import main; sys.argv = ['aif', *{words!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", lacking + code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "TensorRT cannot be used" in done.stderr, done.stderr
    assert "aif[train]" not in done.stderr and "Traceback" not in done.stderr


def test_fp16_and_fp32_in_place_and_other_machines_stay(
    build, bundle, tmp_path, stand_in_card, plug_in, monkeypatch
):
    """Graphs that are missing are made first; engines for two machines lie side by side; stale ones go."""
    from aif.export.precision import precision

    monkeypatch.setattr(precision, "measure_speedup", lambda *graphs: 1.0)
    place = Path(shutil.copy(bundle, tmp_path))
    build(place, "--precision", "fp16,fp32")
    assert len(names(place)) == 8 and set(Bundle.open(place).manifest.graphs) == {"fp32", "fp16"}
    assert FaceModel(Bundle.open(place), "tensorrt").precision == "fp16"
    before = Bundle.open(place).manifest.graphs["fp16"]
    stand_in_card.capability = "8.9"
    plug_in(stand_in_card)
    build(place, "--precision", "fp16")
    assert len(names(place)) == 12 and Bundle.open(place).manifest.graphs["fp16"] == before
    with open_store(place) as store:
        held = {name: store.read(name) for name in store.names() if name != "manifest.json"}
    stale = f"engines/encoder.fp32.{MACHINE}.json"
    held[stale] = json.dumps({**json.loads(held[stale]), "onnx_sha256": "0" * 64}).encode()
    write_bundle(place, Bundle.open(place).manifest, held)
    build(place, "--precision", "fp16")
    assert len(names(place)) == 10 and stale not in names(place)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--batch", "1,2,4"), 2, "--batch is for engines"),
        (("--hardware-compatible",), 2, "--hardware-compatible is for engines"),
        (("--trt", "--batch", "4,2,1"), 2, "three rising numbers"),
        (("--trt", "--workspace", "much"), 2, "512M or 2G"),
        (("--trt", "--precision", "int8"), 2, "symmetric INT8 only"),
        ((), 2, "engines (--trt)"),
    ],
)
def test_mistakes(words, code, said, aif, bundle, tmp_path, stand_in_card):
    assert said in aif("export", bundle, "-o", tmp_path / "x.aif", *words, code=code).stderr
    assert not (tmp_path / "x.aif").exists()


@pytest.mark.parametrize(
    ("out", "words", "said"),
    [
        ("note.txt", (), "note.txt: unknown kind of file"),
        ("note.txt/x.aif", (), "note.txt is no folder"),
        ("x.aif", ("--timing-cache", "note.txt/own.cache"), "timing cache cannot be kept"),
    ],
)
def test_places_that_cannot_be_written_are_found_before_anything_is_built(
    out, words, said, run, bundle, faces, tmp_path, stand_in_card
):
    (tmp_path / "note.txt").write_text("mine")
    places = [tmp_path / word if number else word for number, word in enumerate(words)]
    done = run("export", bundle, "-o", tmp_path / out, "--trt", "--data", faces, *places)
    assert done.code in (1, 2) and said in done.stderr.replace("\n", " "), done.stderr
    assert not stand_in_card.builds and (tmp_path / "note.txt").read_text() == "mine"


def test_nothing_is_written_when_a_build_fails(build, aif, bundle, tmp_path, stand_in_card):
    out = tmp_path / "x.aif"
    stand_in_card.errors = ["In node 3 (Resize): UNSUPPORTED_NODE", "In node 7 (Clip): INVALID_NODE"]
    said = build(out, code=1).stderr
    assert all(line in said for line in stand_in_card.errors)
    stand_in_card.errors = []
    stand_in_card.spoil = lambda name, value: value * np.float32(1.05)
    assert "stray too far from the FP32 graphs on 32 faces" in build(out, code=1).stderr
    assert "--data FOLDER" in aif("export", bundle, "-o", out, "--trt", code=1).stderr
    assert not out.exists() and not list(tmp_path.rglob("*.engine"))


def test_without_tensorrt(build, aif, bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert 'pip install "aif[trt]"' in build(tmp_path / "x.aif", code=1).stderr
    words = ("--show-attributes", "--provider", "tensorrt", "--bundle", bundle)
    assert 'pip install "aif[trt]"' in aif("edit", "demo", *words, code=1).stderr


def test_engines_are_built_on_first_use_when_asked(aif_edit, photo, tmp_path, stand_in_card):
    out = tmp_path / "out.png"
    words = (photo, "--set", "Smiling=1", "-o", out, "--overwrite", "--provider", "tensorrt")
    done = aif_edit(*words)
    assert done.code == 1 and "--build-engines" in done.stderr and not stand_in_card.builds
    done = aif_edit(*words, "--build-engines")
    assert done.code == 0 and len(stand_in_card.builds) == 2, done.stderr
    edited = cv2.imread(str(out))
    done = aif_edit(*words, "--build-engines")
    assert done.code == 0 and len(stand_in_card.builds) == 2  # they are kept
    assert aif_edit(*words[:-1], "cpu").code == 0
    assert np.abs(cv2.imread(str(out)).astype(int) - edited).max() <= 1
    (sidecar, _) = sorted((tmp_path / "cache").rglob("*.json"))
    assert json.loads(sidecar.read_text())["gated_on"] == "faces in the pictures to edit"


@pytest.mark.parametrize(("provider", "builds"), [("auto", 4), ("tensorrt", 2)])
def test_auto_builds_engines_of_its_own_beside_those_of_a_bundle(
    provider, builds, build, aif, photo, tmp_path, stand_in_card
):
    build(tmp_path / "b.aif")
    words = ("--show-attributes", "--provider", provider, "--build-engines")
    aif("edit", photo, "--bundle", tmp_path / "b.aif", *words)
    assert len(stand_in_card.builds) == builds


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--provider", "cpu"), 2, "--build-engines is for TensorRT, not for cpu"),
        (("--provider", "tensorrt", "--webcam", "--headless", "--timings"), 2, "before a camera is opened"),
        (("--provider", "tensorrt"), 2, "no face was found in the pictures"),
    ],
)
def test_engines_that_cannot_be_built_on_first_use(words, code, said, aif_edit, tmp_path, stand_in_card):
    photo = tmp_path / "grey.png"
    cv2.imwrite(str(photo), np.full((64, 64, 3), 90, np.uint8))
    done = aif_edit(photo, "--set", "Smiling=1", "--build-engines", *words)
    assert (done.code, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr and not stand_in_card.builds


def test_doctor(build, tmp_path, stand_in_card, plug_in, monkeypatch):
    place = tmp_path / "b.aif"
    build(place)

    def judged():
        return doctor_engines.check_engines(str(place))

    assert [each.status for each in judged()] == ["ok", "ok"] and all(each.facts["fits"] for each in judged())
    assert all(each.text.endswith("; used with --provider tensorrt") for each in judged())
    stand_in_card.version, stand_in_card.name = "11.4.0.1", "Other"
    plug_in(stand_in_card)
    for each in judged():
        assert each.status == "problem" and "TensorRT 11.3.0.14 built it, here is 11.4.0.1" in each.text
        assert f"aif-export {place} -o {place} --trt --precision fp32" in str(each.fix)
    build(place)
    both = judged()
    assert [each.status for each in both] == ["ok"] * 4 and not any(each.fix for each in both)
    assert sorted(each.facts["fits"] for each in both) == [False, False, True, True]
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    doctor_engines.load_library.cache_clear()
    for card, status in ((True, "problem"), (False, "absent")):
        monkeypatch.setattr(doctor_engines, "has_nvidia_card", lambda card=card: card)
        (found,) = judged()
        assert found.status == status and (found.fix is not None) is card and "4 engines" in found.text
