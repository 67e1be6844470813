"""What is asked for of a live picture, and what is said of a recording."""

from pathlib import Path

import pytest

from aif.runtime.errors import ConfigError
from aif.runtime.live.camera import CameraFormat
from aif.runtime.live.choices import LiveChoices, check_live, parse_format, parse_source
from aif.runtime.live.outlets import described, free_name
from aif.runtime.live.record import Recording


@pytest.mark.parametrize(("inputs", "source"), [([], "0"), (["1"], "1"), (["rtsp://cam/x"], "rtsp://cam/x")])
def test_sources(inputs, source):
    assert parse_source(inputs) == source


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((None, None, None), CameraFormat()),
        (("1280x720", 30.0, "mjpg"), CameraFormat(1280, 720, 30.0, "MJPG")),
        ((" 640X480 ", None, None), CameraFormat(640, 480)),
    ],
)
def test_formats(words, expected):
    assert parse_format(*words) == expected


@pytest.mark.parametrize(
    "words",
    [("big", None, None), ("0x0", None, None), (None, 0.0, None), (None, -1.0, None), (None, None, "MJPEG")],
)
def test_formats_that_make_no_sense(words):
    with pytest.raises(ConfigError, match="--camera-"):
        parse_format(*words)


def test_free_names(tmp_path):
    path = tmp_path / "out.mp4"
    assert free_name(path) == path
    path.touch()
    assert free_name(path).name == "out_2.mp4"
    (tmp_path / "out_2.mp4").touch()
    assert free_name(path).name == "out_3.mp4"


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (Recording(Path("a.mp4"), True, 90, 3.0, 0), ["a.mp4: 90 frames, 3.0 s."]),
        (Recording(Path("a.mp4"), True, 90, 3.0, 7), ["7 left out", "too slow"]),
        (
            Recording(Path("a.mp4"), True, 90, 3.0, 0, "No space left"),
            ["stopped: No space left", "holds what"],
        ),
        (Recording(Path("a.mp4"), False, 2, 0.1, 0, "No space left"), ["nothing could be kept"]),
        (Recording(Path("a.mp4"), False, 0, 0.0, 0), ["no frame"]),
    ],
)
def test_what_is_said_of_a_recording(recording, words):
    assert all(word in described(recording) for word in words)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"headless": True}, "shows nothing"),
        ({"headless": True, "record": Path("x.mp4"), "compare": True}, "--compare"),
        ({"record": Path("x.avi")}, r"\.mp4, "),
        ({"record": Path(__file__)}, "kind"),
        ({"seconds": 0.0, "headless": True, "timings": True}, "--end"),
    ],
)
def test_choices_that_cannot_work(change, match):
    with pytest.raises(ConfigError, match=match):
        check_live(LiveChoices("0", CameraFormat(), **change), None)
