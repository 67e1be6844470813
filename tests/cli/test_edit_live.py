"""`aif-edit --webcam`: the parts without a window, the command without one, and what goes wrong."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.errors import ConfigError
from aif.runtime.live.camera import CameraFormat
from aif.runtime.live.choices import LiveChoices, check_live, live_threads, parse_format, parse_source
from aif.runtime.live.controls import KEYS, SWITCHES, Action, Controls, action_for
from aif.runtime.live.figures import LiveStats
from aif.runtime.live.outlets import described, free_name
from aif.runtime.live.panel import WIDTH, Panel
from aif.runtime.live.record import Recording
from aif.runtime.live.text import SEEN, draw_text, shortened, text_width, wrapped
from aif.runtime.live.view import figure_rows, help_rows, place, place_both
from aif.runtime.live.window import Window, check_display

NAMES = [AttributeInfo(name=name) for name in ("Smiling", "Eyeglasses", "Blond_Hair")]
SOURCE = "synthetic:320x240@15"


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (ord("q"), Action.QUIT),
        (ord("Q"), Action.QUIT),
        (27, Action.QUIT),
        (ord(" "), Action.TOGGLE),
        (ord("?"), Action.HELP),
        (65362, Action.PREVIOUS),
        (65364, Action.NEXT),
        (0x250000, Action.LESS),
        (63235, Action.MORE),
        (0x100000 + ord("c"), Action.COMPARE),  # GTK with Num Lock
        (0x100000 + 65363, Action.MORE),
        (0x110000 + ord("M"), Action.MIRROR),
        (8, Action.RELEASE),
        (65535, Action.RELEASE),
        (65480, Action.FULL_SCREEN),
        (-1, None),
        (ord("z"), None),
        (65505, None),  # Shift
        (10**12, None),
    ],
)
def test_keys(code, action):
    assert action_for(code) is action


def test_the_table_of_keys_is_whole_and_unambiguous():
    codes = [code for key in KEYS for code in key.codes]
    assert len(codes) == len(set(codes)) and {key.action for key in KEYS} == set(Action)
    assert len(help_rows()) == len(KEYS) + 1


@pytest.mark.parametrize(
    ("actions", "chosen", "values"),
    [
        ([], 1, {"Eyeglasses": 0.5}),
        ([Action.NEXT], 2, {"Eyeglasses": 0.5}),
        ([Action.NEXT, Action.NEXT], 0, {"Eyeglasses": 0.5}),
        ([Action.PREVIOUS, Action.PREVIOUS], 2, {"Eyeglasses": 0.5}),
        ([Action.MORE, Action.MORE], 1, {"Eyeglasses": 0.7}),
        ([Action.LESS] * 30, 1, {"Eyeglasses": -1.0}),
        ([Action.MORE] * 30, 1, {"Eyeglasses": 2.0}),
        ([Action.ABSENT], 1, {"Eyeglasses": 0.0}),
        ([Action.PREVIOUS, Action.PRESENT], 0, {"Eyeglasses": 0.5, "Smiling": 1.0}),
        ([Action.PREVIOUS, Action.MORE], 0, {"Eyeglasses": 0.5, "Smiling": 0.9}),  # from what is seen
        ([Action.NEXT, Action.LESS], 2, {"Eyeglasses": 0.5, "Blond_Hair": 0.4}),  # nothing is seen of it
        ([Action.RELEASE], 1, {}),
        ([Action.RELEASE, Action.RELEASE], 1, {}),
        ([Action.PREVIOUS, Action.PRESENT, Action.RELEASE_ALL], 0, {}),
    ],
)
def test_sliders_by_keys(actions, chosen, values):
    controls = Controls(NAMES, {"Eyeglasses": 0.5})
    for action in actions:
        controls.apply(action, {"Smiling": 0.83})
    assert controls.chosen == chosen and controls.values == pytest.approx(values)


def test_switches_go_on_and_off():
    controls = Controls(NAMES, {}, compare=True)
    before = vars(controls).copy()
    for action, name in SWITCHES.items():
        controls.apply(action)
        assert getattr(controls, name) is not before[name]
        controls.apply(action)
    assert vars(controls) == before and controls.on and controls.compare and not controls.mirror


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, 0.5), (0.03, 0.0), (-0.05, 0.0), (1.04, 1.0), (1.2, 1.2), (9, 2.0)]
)
def test_dragging_snaps_to_absent_and_present(value, expected):
    controls = Controls(NAMES, {})
    controls.drag(2, value)
    assert controls.values == {"Blond_Hair": expected} and controls.chosen == 2
    controls.release(2)
    assert controls.values == {}


@pytest.mark.parametrize(("count", "height"), [(1, 240), (3, 600), (8, 720), (40, 480)])
def test_a_slider_is_where_the_mouse_finds_it(count, height):
    controls = Controls([AttributeInfo(name=f"A{number}") for number in range(count)], {})
    panel = Panel(controls, height)
    for chosen in range(count):
        controls.chosen = chosen
        x, y = panel.slider(chosen, 0.5)
        assert panel.row_at(x, y) == chosen and 0 <= y < height and 0 <= x < WIDTH
        assert panel.value_at(chosen, x) == pytest.approx(0.5, abs=0.02)
    assert panel.row_at(20, 0) is None and panel.row_at(20, height - 1) is None
    assert panel.row_at(WIDTH, 120) is None and panel.row_at(-1, 120) is None
    assert (panel.value_at(0, -50), panel.value_at(0, 9999)) == (-1.0, 2.0)


def test_the_value_that_the_model_sees_stands_beside_every_slider():
    panel = Panel(Controls(NAMES, {"Smiling": 1.0}), 400)
    rows = [panel.slider(index, 0)[1] for index in range(3)]

    def seen_pixels(picture):
        near = np.abs(picture.astype(int) - SEEN).max(axis=2) < 30
        return [int(near[y - 14 : y + 12, 40:].sum()) for y in rows]

    assert seen_pixels(panel.draw(None, "camera 0: 640x480", True)) == [0, 0, 0]
    panel._drawn_s = 0
    with_face = panel.draw(dict.fromkeys(("Smiling", "Eyeglasses", "Blond_Hair"), 0.25), "camera 0", True)
    assert min(seen_pixels(with_face)) > 20 and with_face.shape == (400, WIDTH, 3)


def test_text_is_cut_wrapped_and_kept_inside():
    long = "a word " * 40
    assert text_width(shortened(long, 15, 200), 15) <= 200 and shortened("short", 15, 200) == "short"
    lines = wrapped(long, 15, 200)
    assert len(lines) > 3 and " ".join(lines).split() == long.split() and wrapped("", 15, 200) == [""]
    canvas = np.zeros((30, 60, 3), np.uint8)
    for x, y in ((-20, -5), (50, 20), (500, 500), (-500, 0)):
        draw_text(canvas, "Text", x, y)
    assert canvas.any()
    canvas[:] = 0
    draw_text(canvas, "ooo", 60, 5, align="right")
    assert canvas[:, 30:].any() and not canvas[:, :20].any()


def test_pictures_are_fitted_and_compared():
    area = np.zeros((100, 300, 3), np.uint8)
    original, result = np.full((50, 50, 3), 100, np.uint8), np.full((50, 50, 3), 200, np.uint8)
    place(area, result)
    assert (area[:, 100:200] == 200).all() and (area[:, :100] < 30).all()
    place_both(area, original, result)
    assert (area[60, 60] == 100).all() and (area[60, 240] == 200).all()


def test_figures():
    rows = dict(figure_rows(LiveStats(shown_ms=42.4, dropped=3), {"track": 4.4}, 7.0, 2))
    assert (rows["latency"], rows["overtaken"], rows["faces"]) == ("42 ms", "3", "2")
    assert (rows["  follow faces"], rows["  encode"], rows["  display"]) == ("4 ms", "0 ms", "7 ms")


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


@pytest.mark.parametrize("threads", [None, 1, 5])
def test_threads(threads):
    assert live_threads(threads) == (threads or max(1, (os.cpu_count() or 2) // 2))


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
        check_live(LiveChoices("0", CameraFormat(), **change), {}, False)


@pytest.mark.parametrize("display", ["", ":987", "unix:987"])
def test_no_display(monkeypatch, display):
    monkeypatch.setattr("aif.runtime.live.window.sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(ConfigError, match="--headless"):
        check_display()


def test_an_opencv_without_windows(monkeypatch):
    def fail(*_):
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr("aif.runtime.live.window.check_display", lambda: None)
    monkeypatch.setattr(cv2, "namedWindow", fail)
    with pytest.raises(ConfigError, match="opencv-python-headless") as caught:
        Window("aif", (640, 480))
    assert "--headless" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photo.jpg", "--headless", "--set", "Smiling"], "--headless is for live pictures"),
        (["photo.jpg", "--record", "x.mp4", "--set", "Smiling"], "--record is for live pictures"),
        (["--webcam", "0", "1"], "one camera at a time"),
        (["--webcam", "-o", "x.mp4"], "--record FILE"),
        (["--webcam", "--sweep", "Smiling"], "--sweep is of no use"),
        (["--webcam", "--json"], "--json is of no use"),
        (["--webcam", "--headless", "--record", "x.gif"], "unknown kind"),
        (["--webcam", "--headless"], "shows nothing"),
        (["--webcam", "--headless", "--timings", "--set", "Smilling"], "Did you mean Smiling"),
        (["--webcam", "--headless", "--timings", "--camera-size", "big"], "1280x720"),
    ],
)
def test_wrong_words(aif_edit, words, message):
    outcome = aif_edit(*words)
    assert outcome.code == 2 and message in outcome.stderr and "Traceback" not in outcome.stderr


def test_without_a_display_the_way_out_is_named(aif_edit, monkeypatch):
    monkeypatch.setattr("aif.runtime.live.window.sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    outcome = aif_edit("--webcam", SOURCE)
    assert outcome.code == 2 and "DISPLAY" in outcome.stderr and "--headless" in outcome.stderr


def test_a_recording_is_not_overwritten_unasked(aif_edit, tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"precious")
    words = ("--webcam", SOURCE, "--headless", "--record", path, "--end", "1")
    outcome = aif_edit(*words)
    assert outcome.code == 2 and "--overwrite" in outcome.stderr and path.read_bytes() == b"precious"
    assert aif_edit(*words, "--overwrite").code == 0 and length(path) > 3


def test_no_such_camera(aif_edit, tmp_path):
    outcome = aif_edit("--webcam", "987", "--headless", "--record", tmp_path / "out.mp4")
    assert outcome.code == 1 and "camera 987" in outcome.stderr and "plugged in" in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_headless_recording_of_a_file_at_its_own_pace(aif_edit, tmp_path, portrait_rgb):
    """The face is edited, the picture mirrored, the end of the file is the end."""
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (200, 240))
    for _ in range(20):
        writer.write(portrait_rgb[:, :, ::-1])
    writer.release()
    out = tmp_path / "out.mp4"
    start = time.monotonic()
    outcome = aif_edit(
        "--webcam", film, "--headless", "--record", out, "--set", "Smiling=2", "--mirror", "--timings"
    )
    assert outcome.code == 0 and time.monotonic() - start > 1.8
    assert "200x240" in outcome.stderr and "the end" in outcome.stderr and "frames captured" in outcome.stderr
    with av.open(str(out)) as result:
        frames = [frame.to_ndarray(format="rgb24") for frame in result.decode(video=0)]
        assert 5 <= len(frames) <= 20 and float(result.duration) / 1e6 <= 2.1
    changed = np.abs(frames[-1].astype(int) - portrait_rgb[:, ::-1])
    assert changed.mean() < 20 and changed.max() > 60  # mirrored; and the mouth is another one


def length(path: Path) -> int:
    with av.open(str(path)) as film:
        return sum(1 for _ in film.decode(video=0))


def command(bundle: Path, *words: str | Path) -> list[str]:
    start = [sys.executable, "-m", "aif.cli.main", "edit", "--webcam"]
    return [*start, *map(str, words), "--bundle", str(bundle), "--detector", "haar", "--threads", "1"]


def small_disk() -> None:
    """Files of this process grow to so many bytes, then writing fails: as on a full disk, by the kernel."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))


@pytest.mark.skipif(sys.platform != "linux", reason="limits files as Linux does")
def test_a_full_disk_ends_the_recording_alone(bundle, tmp_path):
    """With nothing else to do the command ends, too; with something, it goes on."""
    out = tmp_path / "out.mp4"
    for extra, code in (([], 1), (["--timings", "--end", "6", "--overwrite"], 0)):
        done = subprocess.run(
            command(bundle, "synthetic:480x360@15", "--headless", "--record", out, *extra),
            check=False,
            preexec_fn=small_disk,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == code, done.stderr
        assert "Recording stopped: File too large" in done.stderr and "Traceback" not in done.stderr
        assert length(out) >= 5 and [each.name for each in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(bundle, tmp_path, number):
    out = tmp_path / "out.mkv"
    running = subprocess.Popen(
        command(bundle, SOURCE, "--headless", "--record", out), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "out.mkv.part").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    running.send_signal(number)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 0 and "frames" in said and "Traceback" not in said
    assert length(out) >= 1


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_a_password_is_never_printed(bundle, debug):
    """Neither by us nor by the libraries below."""
    address = "rtsp://user:s3cret@127.0.0.1:9/live?key=s3cret"
    done = subprocess.run(
        command(bundle, address, "--headless", "--timings", *debug),
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 1 and "s3cret" not in done.stdout + done.stderr
    assert "rtsp://***@127.0.0.1:9/live?***" in done.stderr
