"""Bundles: what is written is read back, and nothing hostile or damaged gets in."""

import json
import os
import shutil
import tracemalloc
import zipfile

import pytest

from aif.runtime.bundle import bundle as bundle_module
from aif.runtime.bundle import storage
from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.errors import BundleError


@pytest.fixture
def zipped(toy_parts, tmp_path):
    return write_bundle(tmp_path / "good.aif", toy_parts.manifest, toy_parts.files).path


@pytest.fixture
def unpacked(toy_parts, tmp_path):
    return write_bundle(tmp_path / "good", toy_parts.manifest, toy_parts.files).path


@pytest.mark.parametrize("name", ["smile.aif", "smile.zip", "smile", "smile.v2", "dossier é ü 人/smile.aif"])
def test_round_trip(shape_toy_parts, tmp_path, name):
    files = shape_toy_parts.files
    written = write_bundle(tmp_path / name, shape_toy_parts.manifest, files)
    opened = Bundle.open(str(tmp_path / name))
    assert written.path.is_dir() == (name == "smile")
    assert opened.manifest == shape_toy_parts.manifest
    assert opened.graph_bytes("fp32", "encoder") == files["encoder.onnx"]
    assert opened.graph_bytes("fp32", "decoder") == files["decoder.onnx"]
    assert (opened.landmarks_bytes(), opened.matte_bytes()) == (files["landmarks.onnx"], files["matte.onnx"])
    assert [p.name for p in written.path.parent.iterdir() if p.name.startswith(".")] == []


def test_equal_contents_give_equal_bytes(toy_parts, tmp_path):
    backwards = dict(reversed(toy_parts.files.items()))
    one = write_bundle(tmp_path / "1.aif", toy_parts.manifest, toy_parts.files)
    two = write_bundle(tmp_path / "2.aif", toy_parts.manifest, backwards)
    assert one.path.read_bytes() == two.path.read_bytes()


def test_notes_and_engines_may_come_along(toy_parts, tmp_path):
    extras = {"MODEL_CARD.md": b"# toy", "engines/sm90.plan": b"engine"}
    (tmp_path / "a").mkdir()  # an empty folder is taken
    for name in ("a.aif", "a"):
        write_bundle(tmp_path / name, toy_parts.manifest, {**toy_parts.files, **extras})
        write_bundle(tmp_path / name, toy_parts.manifest, toy_parts.files)
    assert not (tmp_path / "a" / "MODEL_CARD.md").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda files: files.pop("decoder.onnx"), "decoder.onnx was not given"),
        (lambda files: files.update({"encoder.onnx": b"x"}), "encoder.onnx is not the file"),
        (lambda files: files.update({"other.bin": b"x"}), "does not list other.bin"),
        (lambda files: files.update({"manifest.json": b"{}"}), "does not list manifest.json"),
        (lambda files: files.update({"../up.md": b"x"}), "leaves the bundle"),
    ],
)
def test_writing_refuses_what_does_not_fit(toy_parts, tmp_path, change, says):
    files = dict(toy_parts.files)
    change(files)
    with pytest.raises(BundleError, match=says):
        write_bundle(tmp_path / "x.aif", toy_parts.manifest, files)
    assert list(tmp_path.iterdir()) == []


def _make_other_zip(place):
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("holiday.jpg", b"x")


def _make_folder(name, text):
    def make(place):
        place.mkdir()
        (place / name).write_text(text)

    return make


NO_BUNDLES = [
    (lambda place: place.write_text("my thesis"), "not a whole zip file"),
    (_make_other_zip, r"has no manifest\.json"),
    (_make_folder("work.txt", "x"), r"has no manifest\.json"),
    (_make_folder("manifest.json", '{"name": "a web app"}'), "no schema version"),
]


@pytest.mark.parametrize("make", [make for make, _ in NO_BUNDLES])
def test_never_overwrites_what_is_no_bundle(toy_parts, tmp_path, make):
    place = tmp_path / "precious"
    make(place)
    before = {p: p.read_bytes() for p in [place, *place.rglob("*")] if p.is_file()}
    with pytest.raises(BundleError, match="not overwritten"):
        write_bundle(place, toy_parts.manifest, toy_parts.files)
    assert {p: p.read_bytes() for p in [place, *place.rglob("*")] if p.is_file()} == before


def test_never_deletes_a_stranger_s_file_in_a_bundle_folder(toy_parts, unpacked):
    (unpacked / "results.csv").write_text("a year of work")
    with pytest.raises(BundleError, match=r"also holds results\.csv"):
        write_bundle(unpacked, toy_parts.manifest, toy_parts.files)
    assert (unpacked / "results.csv").read_text() == "a year of work"


def test_a_failed_write_leaves_the_old_bundle(toy_parts, zipped, monkeypatch):
    before = zipped.read_bytes()

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", no_space)
    with pytest.raises(BundleError, match="No space left"):
        write_bundle(zipped, toy_parts.manifest, toy_parts.files)
    assert zipped.read_bytes() == before
    assert [p.name for p in zipped.parent.iterdir()] == [zipped.name]


@pytest.mark.parametrize("keep", [0, 1, 21, 22, 100, 0.5, 0.9, -1])
def test_truncated_zip(zipped, keep):
    data = zipped.read_bytes()
    zipped.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(BundleError, match="cut short"):
        Bundle.open(zipped)


def test_tampering_and_loss(unpacked):
    name = "landmarks.onnx"
    data = bytearray((unpacked / name).read_bytes())
    data[len(data) // 2] ^= 1
    (unpacked / name).write_bytes(data)
    with pytest.raises(BundleError, match="damaged or was tampered with"):
        Bundle.open(unpacked)
    (unpacked / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        Bundle.open(unpacked)


def test_a_flipped_bit_in_the_zip(zipped):
    data = bytearray(zipped.read_bytes())
    data[len(data) // 2] ^= 1
    zipped.write_bytes(data)
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(zipped)


def test_a_file_changed_after_opening(unpacked):
    opened = Bundle.open(unpacked)
    (unpacked / "encoder.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError, match="tampered with"):
        opened.graph_bytes("fp32", "encoder")


def test_missing_precision_and_landmarks(zipped, make_bundle):
    with pytest.raises(BundleError, match=r"no graphs of precision 'int8'\.\nIt has: fp32"):
        Bundle.open(zipped).graph_bytes("int8", "encoder")
    with pytest.raises(BundleError, match="aif fetch yunet"):
        make_bundle(landmarks=None).landmarks_bytes()
    with pytest.raises(BundleError, match="--matte FILE"):
        Bundle.open(zipped).matte_bytes()


def test_no_graphs_at_all(unpacked):
    data = json.loads((unpacked / "manifest.json").read_text())
    (unpacked / "manifest.json").write_text(json.dumps({**data, "graphs": {}}))
    with pytest.raises(BundleError, match="lists no graphs"):
        Bundle.open(unpacked)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        *NO_BUNDLES,
        (lambda place: None, "There is no bundle"),
        (lambda place: place.mkdir(), r"has no manifest\.json"),
        (lambda place: place.touch(), "not a whole zip file"),
    ],
)
def test_what_is_no_bundle(tmp_path, make, says):
    make(tmp_path / "x")
    with pytest.raises(BundleError, match=says):
        Bundle.open(tmp_path / "x")


def test_a_zip_of_the_folder_itself(unpacked, tmp_path):
    made = shutil.make_archive(str(tmp_path / "wrapped"), "zip", unpacked.parent, unpacked.name)
    with pytest.raises(BundleError, match="pack the folder's contents, not the folder"):
        Bundle.open(made)


@pytest.mark.parametrize("there", [True, False])
def test_the_embedded_bundle_is_opened_for_none(zipped, monkeypatch, there):
    monkeypatch.setattr(bundle_module, "EMBEDDED_BUNDLE", zipped if there else zipped.parent / "absent.aif")
    if there:
        assert Bundle.open().manifest.name == "toy"
        return
    with pytest.raises(BundleError, match="--bundle"):
        Bundle.open()


def _hostile_zip(good, place, entry, data):
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(place, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr(entry, data)
    return place


@pytest.mark.parametrize(
    "name", ["../evil.onnx", "/etc/evil", "a/../../evil", "C:/evil", "..", "engines/../../evil", "a\\..\\b"]
)
def test_zip_members_that_leave(zipped, tmp_path, name):
    place = _hostile_zip(zipped, tmp_path / "evil.aif", zipfile.ZipInfo(name), b"x")
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.open(place)


def test_zip_bomb(zipped, tmp_path, monkeypatch):
    entry = zipfile.ZipInfo("engines/bomb.plan")
    entry.compress_type = zipfile.ZIP_DEFLATED
    place = _hostile_zip(zipped, tmp_path / "bomb.aif", entry, bytes(20_000_000))
    assert place.stat().st_size < 100_000
    Bundle.open(place)  # 20 MB are no bomb
    for limit, value in (("MAX_TOTAL_BYTES", 10_000_000), ("MAX_MEMBERS", 3)):
        with (
            monkeypatch.context() as patched,
            pytest.raises(BundleError, match="more than a bundle may hold"),
        ):
            patched.setattr(storage, limit, value)
            Bundle.open(place)


def test_a_zip_that_holds_more_than_it_declares(tmp_path):
    place = tmp_path / "bomb.aif"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", bytes(1 << 26))
    data = bytearray(place.read_bytes())
    for header, size in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = data.index(header) + size
        data[at : at + 4] = (100).to_bytes(4, "little")
    place.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(BundleError, match="damaged"):
        Bundle.open(place)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 24, "only what was declared is unpacked"


def test_a_huge_manifest(unpacked):
    (unpacked / "manifest.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(BundleError, match="larger than"):
        Bundle.open(unpacked)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_folder_with_a_link_that_leaves(unpacked, tmp_path):
    outside = tmp_path / "outside.onnx"
    shutil.move(unpacked / "encoder.onnx", outside)
    (unpacked / "encoder.onnx").symlink_to(outside)
    with pytest.raises(BundleError, match="link that leaves the bundle"):
        Bundle.open(unpacked)
