"""`aif-edit` on videos that are damaged, empty or odd: said in a line, nothing half done left behind."""

import os
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from films import sound_only

from aif.runtime.video.read import VideoSource


def frames_of(path):
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
        ("empty.gif", lambda path: path.write_bytes(b""), "is empty"),
        ("one_byte.mp4", lambda path: path.write_bytes(b"\0"), "is not a video"),
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


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cut.mp4", {"container_options": {"movflags": "faststart"}, "options": {"bf": "0"}}),
        ("cut.mkv", {}),
        ("cut.webm", {"codec": "libvpx-vp9"}),
    ],
)
def test_a_video_that_breaks_off_is_edited_as_far_as_it_goes(
    tmp_path, make_clip, portrait_rgb, aif_edit, name, options
):
    images = [np.roll(portrait_rgb[:, :, ::-1], i, axis=1) for i in range(24)]
    path = make_clip(tmp_path / name, images=images, rate=Fraction(25), **options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    done = aif_edit(path, "--set", "Smiling=2")
    assert done.code == 0 and "breaks off" in done.stderr and "Traceback" not in done.stderr
    before, after = frames_of(path), frames_of(path.with_stem("cut_edited"))
    assert 2 <= len(after) < 24 and len(after) == len(before)
    assert np.abs(after - before)[:, 120:175].max() > 40


def test_one_bad_video_does_not_stop_the_others(tmp_path, make_clip, portrait_rgb, aif_edit):
    make_clip(tmp_path / "good.mp4", images=[portrait_rgb[:, :, ::-1]] * 3, rate=Fraction(25))
    sound_only(tmp_path / "sound.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    done = aif_edit(tmp_path, "--set", "Smiling=2", "-o", tmp_path / "out")
    assert done.code == 1 and "only sound" in done.stderr and "is empty" in done.stderr
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["good.mp4"]
