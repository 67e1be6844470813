"""`aif-edit` on videos, from the command line to files on disk, on a real face with a toy model."""

import json
import os
import signal
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from films import frames_of, packets_of, sound_only, times_of

from aif.runtime.batch.plan import parse_time
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import ConfigError
from aif.runtime.video.editor import VideoEditor
from aif.runtime.video.read import VideoSource

FRAMES, RATE = 8, Fraction(30000, 1001)


@pytest.fixture(scope="session")
def walk(tmp_path_factory, make_clip, portrait_rgb):
    """A video of a face that goes a pixel to the right with each frame, with sound."""
    images = [np.roll(portrait_rgb[:, :, ::-1], i, axis=1) for i in range(FRAMES)]
    path = tmp_path_factory.mktemp("walk") / "walk.mp4"
    return make_clip(path, images=images, rate=RATE, audio="aac", options={"crf": "10"})


@pytest.fixture
def clip(walk, tmp_path):
    """A copy of the walk for one test."""
    path = tmp_path / "walk.mp4"
    path.write_bytes(walk.read_bytes())
    return path


@pytest.fixture
def street(tmp_path, make_clip):
    """A video without a face."""
    return make_clip(tmp_path / "street.mp4", frames=5, rate=RATE, audio="aac")


def test_every_frame_is_edited_and_all_else_is_left_alone(clip, aif_edit):
    out = clip.with_name("out.mp4")
    done = aif_edit(clip, "--set", "Smiling=2", "-o", out)
    assert (done.code, done.stdout) == (0, b"") and len(done.stderr.splitlines()) == 1
    assert times_of(out) == times_of(clip) and packets_of(out, "audio") == packets_of(clip, "audio")
    before, after = frames_of(clip), frames_of(out)
    assert before.shape == after.shape == (FRAMES, 240, 200, 3)
    for i, change in enumerate(after - before):
        rows, columns = np.nonzero(np.abs(change).max(axis=2) > 40)
        assert 120 < rows.mean() < 175 and 85 < columns.mean() - i < 145, "around the mouth"
        assert np.abs(change[:90]).mean() < 3
    assert [each.name for each in sorted(clip.parent.iterdir())] == ["out.mp4", "walk.mp4"]


def test_side_by_side(clip, aif_edit):
    assert aif_edit(clip, "--set", "Smiling=2", "--compare").code == 0
    both = frames_of(clip.with_name("walk_compare.mp4"))
    assert both.shape == (FRAMES, 240, 400, 3)
    left, right = both[:, :, :200], both[:, :, 200:]
    assert np.abs(left - frames_of(clip)).mean() < 3 and np.abs(right - left)[:, 120:175].max() > 60
    assert packets_of(clip.with_name("walk_compare.mp4"), "audio") == packets_of(clip, "audio")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--start", "0.1"], range(3, 8)),
        (["--end", "0:00:00.1"], range(3)),
        (["--start", "00:00.05", "--end", "0.2"], range(2, 6)),
    ],
)
def test_a_part(clip, aif_edit, words, kept):
    assert aif_edit(clip, "--set", "Smiling=2", *words).code == 0
    out, every = clip.with_name("walk_edited.mp4"), times_of(clip)
    assert times_of(out) == [every[i] - every[kept[0]] for i in kept]
    before = frames_of(clip)[:, :90]
    for frame, wanted in zip(frames_of(out)[:, :90], kept, strict=True):
        assert np.abs(before - frame).mean(axis=(1, 2, 3)).argmin() == wanted


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), (".5", 0.5), ("1:30", 90), ("1:02:03.25", 3723.25), (" 7 ", 7)]
)
def test_times(text, seconds):
    assert parse_time(text, "--start") == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:", ":5", "1:2:3:4", "1.5:00", "nan", "1e3"])
def test_what_is_no_time(text):
    with pytest.raises(ConfigError, match="--end"):
        parse_time(text, "--end")


@pytest.mark.parametrize("name", ["Ü 笑 ☺.MP4", "noname", "100%.mp4"])
def test_any_name_with_the_default_output(walk, tmp_path, aif_edit, name):
    path = tmp_path / name
    path.write_bytes(walk.read_bytes())
    done = aif_edit(path, "--set", "Smiling=2")
    assert done.code == 0 and f"{FRAMES} with faces" in done.stderr
    out = path.with_name(f"{path.stem}_edited{path.suffix or '.mp4'}")
    assert sorted(tmp_path.iterdir()) == sorted([path, out]) and len(frames_of(out)) == FRAMES


def test_a_kind_that_aif_does_not_write_becomes_mp4(tmp_path, make_clip, aif_edit):
    make_clip(tmp_path / "old.avi", codec="mpeg4", rate=Fraction(25), frames=3)
    assert aif_edit(tmp_path / "old.avi", "--set", "Smiling", "--copy-unedited").code == 0
    assert len(times_of(tmp_path / "old_edited.mp4")) == 3


def test_no_face_is_said_and_nothing_written_unless_asked(street, aif_edit):
    done = aif_edit(street, "--set", "Smiling")
    assert done.code == 3 and "street.mp4: No face was found in any of the 5 frames." in done.stderr
    assert [*street.parent.iterdir()] == [street]
    assert aif_edit(street, "--set", "Smiling", "--copy-unedited").code == 0
    assert street.with_name("street_edited.mp4").read_bytes() == street.read_bytes()
    other = street.with_name("other.mkv")
    assert aif_edit(street, "--set", "Smiling", "--copy-unedited", "-o", other).code == 0
    assert np.abs(frames_of(other) - frames_of(street)).mean() < 2
    part = street.with_name("part.mp4")
    assert aif_edit(street, "--set", "Smiling", "--copy-unedited", "--start", "0.1", "-o", part).code == 0
    assert len(times_of(part)) == 2


def test_a_face_in_some_frames_is_enough(tmp_path, make_clip, portrait_rgb, aif_edit):
    face, empty = portrait_rgb[:, :, ::-1], np.full((240, 200, 3), 90, np.uint8)
    path = make_clip(tmp_path / "a.mp4", images=[empty, empty, *[face] * 6, empty], rate=Fraction(5))
    done = aif_edit(path, "--set", "Smiling=2", "--json")
    record = json.loads(done.stdout)
    assert done.code == 0 and record["frames"] == 9 and 3 <= record["frames_with_faces"] <= 7
    before, after = frames_of(path), frames_of(tmp_path / "a_edited.mp4")
    assert np.abs(after - before)[[0, 1, 8]].mean() < 1 and np.abs(after - before)[6].max() > 40


def test_json_and_timings(clip, aif_edit):
    done = aif_edit(clip, "--set", "Smiling=2", "--json", "--timings")
    record = json.loads(done.stdout)
    assert (record["status"], record["frames"], record["frames_with_faces"]) == ("edited", FRAMES, FRAMES)
    assert (record["width"], record["height"]) == (200, 240)
    assert record["output"] == str(clip.with_stem("walk_edited"))
    assert len(record["faces"]) == 1 and set(record["faces"][0]["attributes"]) == {"Smiling", "Blond_Hair"}
    stages = ["read", "detect", "align", "encode", "decode_faces", "composite", "write"]
    assert list(record["seconds"]) == stages and record["fps"] > 0
    shown = aif_edit(clip, "--set", "Smiling=2", "--timings", "--overwrite", "-v")
    assert all(f" {stage} " in shown.stdout.decode() for stage in stages)
    assert f"{clip} -> {clip.with_stem('walk_edited')}: 8 frames, 8 with faces, " in shown.stderr


def test_looking_at_a_video(clip, street, aif_edit):
    assert "Smiling" in aif_edit(clip, "--show-attributes").stdout.decode()
    record = json.loads(aif_edit(clip, "--json").stdout)
    assert (record["status"], record["output"], record["frames"]) == ("analysed", None, 1)
    assert aif_edit(street, "--show-attributes").code == 3


@pytest.mark.parametrize("words", [("--show-attributes",), ("--set", "Smiling")])
def test_a_face_of_a_number_that_no_frame_has(clip, aif_edit, words):
    done = aif_edit(clip, *words, "--faces", "3")
    assert done.code == 3 and not clip.with_stem("walk_edited").exists()
    assert "no face number 3 in any of the 8 frames: at most 1 face at once" in done.stderr


def test_pictures_and_videos_in_one_folder(clip, street, tmp_path, portrait_rgb, aif_edit):
    cv2.imwrite(str(tmp_path / "photo.png"), portrait_rgb[:, :, ::-1])
    (tmp_path / "broken.mp4").write_bytes(b"not a video at all")
    (tmp_path / "note.txt").write_text("note")
    out = tmp_path / "out"
    done = aif_edit(tmp_path, "--set", "Smiling=2", "-o", out, "--json")
    assert done.code == 1 and "Traceback" not in done.stderr
    assert "street.mp4: No face" in done.stderr and "broken.mp4 is not a video" in done.stderr
    status = {Path(each["input"]).stem: each["status"] for each in map(json.loads, done.stdout.splitlines())}
    assert status == {"broken": "failed", "photo": "edited", "street": "no_face", "walk": "edited"}
    assert sorted(each.name for each in out.iterdir()) == ["photo.png", "walk.mp4"]
    again = tmp_path / "again"
    done = aif_edit(f"{tmp_path}/w*.mp4", f"{tmp_path}/*.png", "--set", "Smiling", "-o", again)
    assert done.code == 0 and len([*again.iterdir()]) == 2


def test_numbered_pictures_in_and_out(clip, tmp_path, aif_edit):
    pattern = tmp_path / "frames" / "walk_%03d.png"
    assert aif_edit(clip, "--set", "Smiling=0", "-o", pattern).code == 0
    assert len([*pattern.parent.iterdir()]) == FRAMES
    assert aif_edit(clip, "--set", "Smiling=0", "-o", pattern).code == 2, "they are there already"
    assert aif_edit(pattern, "--set", "Smiling=2", "--fps", "25").code == 0
    out = tmp_path / "frames" / "walk_edited.mp4"
    assert times_of(out) == [Fraction(i, 25) for i in range(FRAMES)]
    refused = aif_edit(pattern, "--set", "Smiling", "--fps", "25", "-o", pattern, "--overwrite")
    assert refused.code == 2 and "at once" in refused.stderr


@pytest.mark.parametrize(
    ("number", "presses", "code"),
    [(signal.SIGINT, 1, 130), (signal.SIGINT, 2, 130), (signal.SIGTERM, 1, 143)],
)
def test_a_signal_leaves_a_playable_file(clip, aif_edit, monkeypatch, presses, number, code):
    begin, seen = VideoEditor.begin, []

    def pressed(self, frame, time_s):
        seen.append(time_s)
        if len(seen) == 4:
            for _ in range(presses):
                signal.raise_signal(number)
        return begin(self, frame, time_s)

    monkeypatch.setattr(VideoEditor, "begin", pressed)
    before = signal.getsignal(number)
    done = aif_edit(clip, "--set", "Smiling=2")
    out = clip.with_name("walk_edited.mp4")
    said = "Interrupted" if number == signal.SIGINT else "Terminated"
    assert done.code == code and said in done.stderr and "Traceback" not in done.stderr
    kept = 4 if presses == 1 else 3
    assert times_of(out) == times_of(clip)[:kept]
    if presses == 1:
        assert "walk_edited.mp4 holds 4 frames, the last at 0.1 s" in done.stderr
    assert signal.getsignal(number) == before and len([*clip.parent.iterdir()]) == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--set", "Smiling", "--start", "abc"], 2, "--start abc is no time"),
        (["--set", "Smiling", "--start", "2", "--end", "1"], 2, "not after --start"),
        (["--set", "Smiling", "--codec", "h26"], 2, "Did you mean h26"),
        (["--set", "Smiling", "--codec", "vp9", "-o", "x.mov"], 2, "cannot hold vp9"),
        (["--set", "Smiling", "-o", "x.jpg"], 2, "cannot write videos"),
        (["--set", "Smiling", "-o", "-"], 2, "A video cannot go to standard output"),
        (["--set", "Smiling", "--hardware", "gpu"], 2, "nvenc, videotoolbox"),
        (["--set", "Smiling", "--fps", "25"], 2, "numbered pictures"),
        (["--sweep", "Smiling"], 2, "is for pictures"),
    ],
)
def test_wrong_words_are_reported_before_anything_is_loaded(
    clip, run, bundle, words, code, said, monkeypatch
):
    monkeypatch.setattr(Editor, "load", None)
    monkeypatch.chdir(clip.parent)
    done = run("edit", clip, "--detector", "haar", "--bundle", bundle, *words)
    assert done.code == code and said in done.stderr and "Traceback" not in done.stderr
    assert [*clip.parent.iterdir()] == [clip]


@pytest.mark.parametrize(
    ("name", "words", "code", "said"),
    [
        ("walk.mp4", ["--start", "60"], 1, "0.27 seconds long"),
        ("walk.mp4", ["--max-megapixels", "0.01"], 1, "--max-megapixels 1"),
        ("frame_%04d.png", ["--fps", "25"], 1, "No file matches"),
        ("frame_%04d.png", [], 2, "--fps 25"),
        ("nowhere.mp4", [], 1, "There is no file"),
        ("photo.png", ["--start", "1"], 2, "--start is for videos"),
    ],
)
def test_errors_without_a_traceback(clip, aif_edit, portrait_rgb, monkeypatch, name, words, code, said):
    monkeypatch.chdir(clip.parent)
    cv2.imwrite("photo.png", portrait_rgb)
    there = sorted(clip.parent.iterdir())
    done = aif_edit(name, "--set", "Smiling", *words)
    assert done.code == code and said in done.stderr and "Traceback" not in done.stderr
    assert sorted(clip.parent.iterdir()) == there


def test_quality_and_codec(clip, aif_edit):
    places = [clip.with_name(f"{quality}.mp4") for quality in (30, 95)]
    for out in places:
        words = ("-o", out, "--quality", out.stem, "--codec", "h265")
        assert aif_edit(clip, "--set", "Smiling", *words).code == 0
    assert places[0].stat().st_size < places[1].stat().st_size / 2
    with av.open(str(places[0])) as container:
        assert container.streams.video[0].codec_context.name == "hevc"


def our_frames_of(path):
    """All frames that our own reader gives, of a damaged file, too: int (N, H, W, 3) BGR."""
    with VideoSource(path) as source:
        return np.stack([frame.image_hwc_bgr for frame in source]).astype(int)


def locked(path):
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(1000))
    path.chmod(0)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("empty.mp4", lambda path: path.write_bytes(b""), "is empty"),
        ("noise.webm", lambda path: path.write_bytes(bytes(range(256)) * 40), "is not a video"),
        ("sound.mp4", sound_only, "only sound"),
        ("no_frames.mkv", partial(sound_only, video=True), "not one frame"),
        ("locked.mp4", locked, "ermission"),
    ],
)
@pytest.mark.parametrize("words", [["--set", "Smiling", "--copy-unedited"], ["--json"]])
def test_what_cannot_be_edited_is_said_and_leaves_nothing(tmp_path, aif_edit, name, make, said, words):
    path = tmp_path / name
    make(path)
    if make is locked and os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    done = aif_edit(path, *words)
    assert done.code == 1 and said in done.stderr and name in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and [*tmp_path.iterdir()] == [path]


def test_a_video_that_breaks_off_is_edited_as_far_as_it_goes(tmp_path, make_clip, portrait_rgb, aif_edit):
    images = [np.roll(portrait_rgb[:, :, ::-1], i, axis=1) for i in range(24)]
    path = make_clip(tmp_path / "cut.mkv", images=images, rate=Fraction(25))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    done = aif_edit(path, "--set", "Smiling=2")
    assert done.code == 0 and "breaks off" in done.stderr and "Traceback" not in done.stderr
    before, after = our_frames_of(path), our_frames_of(path.with_stem("cut_edited"))
    assert 2 <= len(after) < 24 and len(after) == len(before)
    assert np.abs(after - before)[:, 120:175].max() > 40
