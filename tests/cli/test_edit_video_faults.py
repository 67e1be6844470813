"""`aif-edit` on videos that are damaged, empty or odd: said in a line, nothing half done left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from aif.runtime.video.read import VideoSource

Edit = Callable[..., Any]
Clip = Callable[..., Path]


def frames_of(path: Path) -> np.ndarray:
    """All frames: int (N, H, W, 3) BGR."""
    with VideoSource(path) as source:
        return np.stack([frame.image_hwc_bgr for frame in source]).astype(int)


def sound_only(path: Path) -> None:
    with av.open(str(path), "w") as out:
        _tone(out)


def no_frames(path: Path) -> None:
    """A video stream that never got a frame, beside a second of sound."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        _tone(out)


def _tone(out: Any) -> None:
    stream = out.add_stream("aac", rate=44100, layout="mono")
    for start in range(0, 44100, 1024):
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        block.sample_rate, block.pts, block.time_base = 44100, start, Fraction(1, 44100)
        out.mux(stream.encode(block))
    out.mux(stream.encode(None))


def locked(path: Path) -> None:
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(1000))
    path.chmod(0)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("empty.mp4", lambda path: path.write_bytes(b""), "is empty"),
        ("empty.mkv", lambda path: path.write_bytes(b""), "is empty"),
        ("empty.gif", lambda path: path.write_bytes(b""), "is empty"),
        ("one_byte.mp4", lambda path: path.write_bytes(b"\0"), "is not a video"),
        ("noise.webm", lambda path: path.write_bytes(bytes(range(256)) * 40), "is not a video"),
        ("sound.mp4", sound_only, "only sound"),
        ("sound.mkv", sound_only, "only sound"),
        ("no_frames.mkv", no_frames, "not one frame"),
        ("locked.mp4", locked, "ermission"),
    ],
)
@pytest.mark.parametrize("words", [["--set", "Smiling"], ["--set", "Smiling", "--copy-unedited"], ["--json"]])
def test_what_cannot_be_edited_is_said_and_leaves_nothing(
    tmp_path: Path, aif_edit: Edit, name: str, make: Callable[[Path], Any], said: str, words: list[str]
) -> None:
    path = tmp_path / name
    make(path)
    if make is locked and os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    done = aif_edit(path, *words)
    assert done.code == 1 and said in done.stderr and name in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cut.mp4", {"container_options": {"movflags": "faststart"}, "options": {"bf": "0"}}),
        ("cut.mkv", {}),
        ("cut.webm", {"codec": "libvpx-vp9"}),
    ],
)
def test_a_video_that_breaks_off_is_edited_as_far_as_it_goes(
    tmp_path: Path, make_clip: Clip, portrait_rgb: np.ndarray, aif_edit: Edit, name: str, options: Any
) -> None:
    images = [np.roll(portrait_rgb[:, :, ::-1], i, axis=1) for i in range(24)]
    path = make_clip(tmp_path / name, images=images, rate=Fraction(25), **options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    done = aif_edit(path, "--set", "Smiling=2")
    assert done.code == 0 and "breaks off" in done.stderr and "Traceback" not in done.stderr
    before, after = frames_of(path), frames_of(path.with_stem("cut_edited"))
    assert 2 <= len(after) < 24 and len(after) == len(before)
    assert np.abs(after - before)[:, 120:175].max() > 40


def test_one_bad_video_does_not_stop_the_others(
    tmp_path: Path, make_clip: Clip, portrait_rgb: np.ndarray, aif_edit: Edit
) -> None:
    make_clip(tmp_path / "good.mp4", images=[portrait_rgb[:, :, ::-1]] * 3, rate=Fraction(25))
    sound_only(tmp_path / "sound.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    done = aif_edit(tmp_path, "--set", "Smiling=2", "-o", tmp_path / "out")
    assert done.code == 1 and "only sound" in done.stderr and "is empty" in done.stderr
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["good.mp4"]


def test_a_minute_without_a_face(
    tmp_path: Path, make_clip: Clip, portrait_rgb: np.ndarray, aif_edit: Edit
) -> None:
    """A second of a face, a minute of an empty room, and the face again: edited at both ends."""
    face, empty = portrait_rgb[:, :, ::-1], np.full((240, 200, 3), 90, np.uint8)
    path = make_clip(tmp_path / "a.mp4", images=[*[face] * 5, *[empty] * 300, *[face] * 20], rate=Fraction(5))
    done = aif_edit(path, "--set", "Smiling=2", "--json")
    record = json.loads(done.stdout)
    assert done.code == 0 and record["frames"] == 325
    # A face that comes after long is noticed within 15 frames, the time from one detection to the next.
    assert 5 + 5 <= record["frames_with_faces"] <= 26
    change = np.abs(frames_of(tmp_path / "a_edited.mp4") - frames_of(path)).max(axis=(1, 2, 3))
    assert (change[[2, 3, 4, 322, 323, 324]] > 40).all() and change[10:305].max() < 20
