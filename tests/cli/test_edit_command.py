"""`aif-edit` from the words of the command line to files on disk, on a real face with a toy model."""

import io
import json
import re
import signal
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from aif.runtime.editing.editor import Editor
from aif.runtime.image.codecs import Extras, encode_samples
from aif.runtime.image.io import read_image

register_heif_opener()
STAGES = ["read", "detect", "align", "encode", "decode_faces", "composite", "write"]


def save(path, rgb, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path, **options)
    return path


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_a_face_is_edited_and_all_else_is_left_alone(photo, portrait_rgb, aif_edit):
    out = photo.with_name("out.png")
    done = aif_edit(photo, "--set", "Smiling=2", "-o", out)
    assert (done.code, done.stdout) == (0, b"")
    assert re.fullmatch(rf"{photo} -> {out}: 1 face, Smiling 0\.\d\d -> 2\n", done.stderr)
    change = pixels(out) - portrait_rgb
    rows, columns = np.nonzero(np.abs(change).max(axis=2))
    assert 120 < rows.mean() < 175 and 85 < columns.mean() < 135, "around the mouth"
    assert change[:, :, 1:].min() < -40 and np.abs(change[:, :, 0]).max() <= 2, "less green and blue: redder"
    assert len(rows) < 0.2 * change[:, :, 0].size


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Üb ung/笑顔 😀.webp", "WEBP"), ("UPPER.JPEG", "JPEG"), ("no suffix", "BMP"), ("IMG_1.HEIC", "HEIF")],
)
def test_any_name_and_kind_with_the_default_output(tmp_path, portrait_rgb, aif_edit, name, kind):
    path = save(tmp_path / name, portrait_rgb, format=kind)
    done = aif_edit(path, "--set", "Smiling=2", "-v")
    out = path.with_name(f"{path.stem}_edited{path.suffix}")
    assert done.code == 0 and f"{path} -> {out}: 1 face" in done.stderr
    assert sorted(path.parent.iterdir()) == sorted([path, out])
    assert Image.open(out).format == kind and np.abs(pixels(out) - pixels(path)).max() > 40


@pytest.mark.parametrize("words", [(), ("--strip-location",)])
def test_the_place_is_kept_unless_it_is_to_be_left_out(tmp_path, portrait_rgb, aif_edit, make_clip, words):
    """Of an edited picture, and of a picture and a film without a face, which are copied."""
    exif = Image.Exif()
    exif[0x010F], exif[0x8825] = "Camera", {1: "N", 2: (47.0, 22.0, 8.5)}
    folder, out = tmp_path / "in", tmp_path / "out"
    save(folder / "face.jpg", portrait_rgb, exif=exif.tobytes())
    save(folder / "none.jpg", np.zeros((64, 64, 3), np.uint8), exif=exif.tobytes())
    make_clip(folder / "film.mkv", metadata={"location": "+47.3689+008.5/", "title": "A film"})
    assert aif_edit(folder, "-s", "Smiling", "--copy-unedited", "-o", out, *words).code == 0
    for name in ("face.jpg", "none.jpg"):
        with Image.open(out / name) as again:
            kept = again.getexif()
            assert kept[0x010F] == "Camera" and bool(kept.get_ifd(0x8825)) == (not words)
    with av.open(str(out / "film.mkv")) as film:
        texts = {key.lower(): text for key, text in film.metadata.items()}
    assert texts["title"] == "A film" and ("location" in texts) == (not words)


def test_16_bits_and_transparency(tmp_path, portrait_rgb, aif_edit):
    rng = np.random.default_rng(0)
    fine = portrait_rgb.astype(np.uint16) * 257 + rng.integers(-100, 100, portrait_rgb.shape)
    deep = np.clip(fine, 0, 65535).astype(np.uint16)
    alpha = rng.integers(0, 65536, (*deep.shape[:2], 1)).astype(np.uint16)
    path, out = tmp_path / "deep.tiff", tmp_path / "out.tiff"
    path.write_bytes(encode_samples(np.concatenate([deep, alpha], axis=2), "TIFF", Extras(), None))
    assert aif_edit(path, "--set", "Smiling=2", "-o", out).code == 0
    result = read_image(out)
    assert result.deep_hwc is not None and result.alpha_hw is not None
    np.testing.assert_array_equal(result.alpha_hw, alpha[:, :, 0])
    same = (result.deep_hwc[:, :, ::-1] == deep).all(axis=2)
    assert 0.8 < same.mean() < 1 and same[:100].all()
    lossy = aif_edit(path, "--set", "Smiling", "-o", tmp_path / "out.jpg")
    assert lossy.code == 0 and "Warning: " in lossy.stderr and "transparency" in lossy.stderr


def test_standard_input_to_standard_output(photo, aif_edit):
    done = aif_edit("-", "--set", "Smiling=2", stdin=photo.read_bytes())
    assert aif_edit(photo, "--set", "Smiling=2").code == 0
    assert done.code == 0 and done.stdout == photo.with_name("photo_edited.png").read_bytes()
    words = ("-", "--set", "Smiling=2", "-o", "-", "--format", "jpeg")
    rough, fine = (
        aif_edit(*words, "--quality", quality, stdin=photo.read_bytes()).stdout for quality in ("20", "95")
    )
    assert Image.open(io.BytesIO(fine)).format == "JPEG" and len(rough) < len(fine) / 2
    assert aif_edit("-", "--set", "Smiling", stdin=b"").code == 1


def test_the_demo(tmp_path, monkeypatch, aif_edit):
    pytest.importorskip("skimage")
    monkeypatch.chdir(tmp_path)
    words = ("demo", "--set", "Smiling=0", "-s", "Blond_Hair", "--mode", "replace", "--faces", "largest")
    assert aif_edit(*words, "-o", "demo.jpg", "--compare").code == 0
    sheet = Image.open("demo.jpg")
    assert sheet.width > 2 * 512 and sheet.height > 512


@pytest.mark.parametrize("options", [["--compare"], ["--sweep", "Blond_Hair", "--steps", "3"]])
def test_sheets_keep_the_input_and_show_the_edit(photo, aif_edit, options):
    assert aif_edit(photo, "--set", "Smiling=2", *options).code == 0
    sheet = pixels(photo.with_name("photo_compare.png" if options == ["--compare"] else "photo_sweep.png"))
    panels = 2 if options == ["--compare"] else 4
    assert sheet.shape[1] > panels * 200
    redness = sheet[:, :, 0] - sheet[:, :, 1:].max(axis=2)
    left, right = np.array_split(redness, panels, axis=1)[:: panels - 1]
    assert (right > 120).sum() > (left > 120).sum() + 100


def test_a_sweep_has_a_row_a_face(tmp_path, portrait_rgb, aif_edit):
    path = save(tmp_path / "two.png", np.concatenate([portrait_rgb, portrait_rgb[:, ::-1]], axis=1))
    heights = {}
    for faces in ("all", "1"):
        out = tmp_path / f"{faces}.png"
        assert aif_edit(path, "--sweep", "Smiling", "--faces", faces, "-o", out).code == 0
        heights[faces] = Image.open(out).height
    assert heights["all"] > 1.8 * heights["1"]


def test_attributes_and_timings_as_a_table_and_as_json(photo, aif_edit):
    table = aif_edit(photo, "--show-attributes").stdout.decode()
    assert "Smiling" in table and "face 0" in table and "->" not in table
    record = json.loads(aif_edit(photo, "--json").stdout)
    figures = [record[name] for name in ("status", "output", "width", "height")]
    assert figures == ["analysed", None, 200, 240] and "seconds" not in record
    (face,) = record["faces"]
    assert set(face["attributes"]) == {"Smiling", "Blond_Hair"} and len(face["landmarks"]) == 5
    value = f"{face['attributes']['Smiling']:.2f}"
    edited = aif_edit(photo, "--set", "Smiling=2", "--show-attributes", "--timings").stdout.decode()
    assert value in table and f"{value} -> 2" in edited
    assert all(f" {stage} " in edited for stage in [*STAGES, "sum"])
    done = aif_edit(photo, "--set", "Smiling", "--json", "--timings", "--overwrite")
    seconds = json.loads(done.stdout)["seconds"]
    assert list(seconds) == STAGES and all(value >= 0 for value in seconds.values())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--set", "Smilng=1"], 2, "Did you mean Smiling?"),
        (["--sweep", "Smilng"], 2, "Did you mean Smiling?"),
        (["--set", "Smiling", "--mode", "mix"], 2, "composes by: delta, replace"),
        (["--set", "Smiling", "--faces", "some"], 2, "all, largest"),
        (["--set", "Smiling", "-o", "{nome}.png"], 2, "unknown field"),
        (
            ["rtsp://user:s3cret@cam/live?k=s3cret", "-s", "Smiling"],
            2,
            "rtsp://***@cam/live?*** is an",
        ),
        (["x" * 300 + ".jpg", "--set", "Smiling"], 1, "File name too long"),
        (["--set", "Smiling", "-o", "x" * 300 + ".jpg"], 1, "File name too long"),
        (["--set", "Smiling", "--bundle", "x" * 300], 1, "File name too long"),
        (["--set", "Smiling", "--bundle", "nowhere.aif"], 1, "no bundle at nowhere.aif"),
        (["--set", "Smiling", "--yunet", "nowhere.onnx"], 2, "contradict"),
        (["--set", "Smiling", "--provider", "gpu"], 2, "Known: cpu, cuda, tensorrt, openvino"),
        (["--set", "Smiling", "--threads", "0"], 2, "at least 1"),
        (["--set", "Smiling", "--quality", "0"], 2, "1 to 100"),
        (["--set", "Smiling", "--compare", "--sweep", "Blond_Hair"], 2, "different sheets"),
        (["--show-attributes", "--compare"], 2, "nothing to compare"),
        (["--show-attributes", "-o", "table.txt"], 2, "--out has no picture to write"),
        (["--set", "Smiling", "--steps", "3"], 2, "Add --sweep"),
        (["--set", "Smiling", "-o", "-", "--json"], 2, "Standard output cannot carry"),
        (["--set", "Smiling", "--start", "1"], 2, "--start is for videos"),
        (["--set", "Smiling", "--workers", "2"], 2, "--workers is for --engine ray"),
        (["--set", "Smiling", "--engine", "dask"], 2, "no engine 'dask'"),
    ],
)
def test_wrong_words_are_reported_before_any_picture_is_read(
    photo, run, bundle, words, code, said, monkeypatch
):
    monkeypatch.setattr("aif.runtime.batch.picture.read_bytes", None)
    monkeypatch.setattr(Editor, "load", None)
    monkeypatch.chdir(photo.parent)
    own = [] if "--bundle" in words else ["--bundle", bundle]
    own += [] if "--detector" in words else ["--detector", "haar"]
    done = run("edit", photo, *own, *words)
    assert (done.code, done.stdout) == (code, b"")
    assert said in done.stderr and "Traceback" not in done.stderr and "s3cret" not in done.stderr
    assert list(photo.parent.iterdir()) == [photo]


def test_no_input_is_named(run, bundle):
    done = run("edit", "--set", "Smiling", "--bundle", bundle)
    assert done.code == 2 and "Missing argument INPUT" in done.stderr


def test_a_picture_does_not_go_to_a_terminal(photo, aif_edit, monkeypatch):
    terminal = SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("aif.cli.edit.run.sys", terminal)
    done = aif_edit("-", "--set", "Smiling", stdin=photo.read_bytes())
    assert done.code == 2 and "to the terminal" in done.stderr and done.stdout == b""


def test_a_picture_takes_its_own_place_where_it_may(photo, aif_edit):
    before = photo.read_bytes()
    assert aif_edit(photo, "--set", "Smiling=2", "-o", photo, "--overwrite").code == 0
    assert photo.read_bytes() != before


@pytest.mark.parametrize("size", [(1, 1), (60, 80)])
def test_no_face_is_said_and_nothing_written_unless_asked(tmp_path, aif_edit, size):
    path = save(tmp_path / "empty.jpg", np.full((*size, 3), 120, np.uint8), quality=33)
    done = aif_edit(path, "--set", "Smiling")
    assert done.code == 3 and "empty.jpg: No face was found." in done.stderr
    assert "Traceback" not in done.stderr and list(tmp_path.iterdir()) == [path]
    assert aif_edit(path, "--set", "Smiling", "--copy-unedited").code == 0
    assert (tmp_path / "empty_edited.jpg").read_bytes() == path.read_bytes()
    assert aif_edit(path, "--set", "Smiling", "--copy-unedited", "-o", tmp_path / "as.png").code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "as.png"), pixels(path))
    piped = aif_edit("-", "--set", "Smiling", "--copy-unedited", stdin=path.read_bytes())
    assert (piped.code, piped.stdout) == (0, path.read_bytes())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--faces", "5"], 3, "no face number 5"),
        (["--max-megapixels", "0.01"], 1, "--max-megapixels 1"),
        (["--max-megapixels", "0"], 0, ""),
    ],
)
def test_what_a_picture_does_not_have(photo, aif_edit, words, code, said):
    done = aif_edit(photo, "--set", "Smiling", *words)
    assert done.code == code and said in done.stderr


@pytest.fixture
def album(tmp_path, portrait_rgb):
    """A folder with two portraits, one of them deeper, an empty scene, a damaged file and a note."""
    folder = tmp_path / "my album"
    save(folder / "a.png", portrait_rgb)
    save(folder / "in" / "d.png", portrait_rgb[:, ::-1])
    save(folder / "b.png", np.full((60, 80, 3), 120, np.uint8))
    (folder / "c.jpg").write_bytes(b"\xff\xd8\xff damaged")
    (folder / "note.txt").write_text("no picture")
    return folder


def test_many_files_each_failure_is_reported_and_the_rest_done(album, tmp_path, aif_edit):
    out = tmp_path / "out"
    done = aif_edit(album, "--recursive", "--set", "Smiling=2", "-o", out, "--json", "-v")
    said = f"2 edited, 1 without a face, 1 failed; 2 faces; results are in {out}"
    assert done.code == 1 and said in done.stderr
    assert "b.png: No face was found." in done.stderr and "c.jpg begins like a JPEG" in done.stderr
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == ["a.png", "in/d.png"]
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["status"] for record in records] == ["edited", "no_face", "failed", "edited"]
    assert [record["output"] is None for record in records] == [False, True, True, False]
    assert all(("error" in record) == (record["status"] != "edited") for record in records)


def test_only_missing_faces_exit_with_3(album, tmp_path, aif_edit):
    (album / "c.jpg").unlink()
    assert aif_edit(album, "--set", "Smiling", "-o", tmp_path / "out").code == 3
    words = ("--set", "Smiling", "-o", tmp_path / "out", "--overwrite", "--copy-unedited")
    assert aif_edit(album, *words).code == 0
    assert (tmp_path / "out" / "b.png").read_bytes() == (album / "b.png").read_bytes()
    done = aif_edit(f"{album}/**/*.png", "--set", "Smiling", "-o", f"{tmp_path}/{{index:03d}} {{stem}}.jpg")
    assert done.code == 3
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["001 a.jpg", "003 d.jpg"]


def test_a_fault_in_one_picture_of_many_does_not_stop_the_others(album, tmp_path, aif_edit, monkeypatch):
    def broken(path):
        if path.name == "b.png":
            raise ZeroDivisionError("oh")
        return path.read_bytes()

    (album / "c.jpg").unlink()
    monkeypatch.setattr("aif.runtime.batch.picture.read_bytes", broken)
    done = aif_edit(album, "-r", "--set", "Smiling", "-o", tmp_path / "out")
    assert done.code == 1 and "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr and "please report it" in done.stderr
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2


@pytest.mark.parametrize(
    ("number", "presses", "code", "kept"),
    [(signal.SIGINT, 1, 130, 1), (signal.SIGINT, 2, 130, 0), (signal.SIGTERM, 1, 143, 1)],
)
def test_a_signal_ends_a_run_over_photos_with_whole_files(
    album, tmp_path, aif_edit, monkeypatch, number, presses, code, kept
):
    edit = Editor.edit

    def pressed(self, *arguments):
        for _ in range(presses):
            signal.raise_signal(number)
        return edit(self, *arguments)

    monkeypatch.setattr(Editor, "edit", pressed)
    before = signal.getsignal(number)
    done = aif_edit(album, "--set", "Smiling", "-o", tmp_path / "out")
    assert done.code == code and "Traceback" not in done.stderr
    assert len(list(tmp_path.glob("out/*"))) == kept and signal.getsignal(number) == before
