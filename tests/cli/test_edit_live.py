"""`aif-edit --webcam` as a command: recording without a window, and what goes wrong."""

import resource
import signal
import subprocess
import sys
import time

import av
import cv2
import numpy as np
import pytest
from films import frames_of
from running_service import until

SOURCE = "synthetic:320x240@15"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photo.jpg", "--headless", "--set", "Smiling"], "--headless is for live pictures"),
        (["--webcam", "0", "1"], "one camera at a time"),
        (["--webcam", "-o", "x.mp4"], "--record FILE"),
        (["--webcam", "--sweep", "Smiling"], "--sweep is of no use"),
        (["--webcam", "--headless", "--timings", "--set", "Smilling"], "Did you mean Smiling"),
        (["--webcam", "--headless", "--timings", "--camera-size", "big"], "1280x720"),
    ],
)
def test_wrong_words(aif_edit, words, message):
    outcome = aif_edit(*words)
    assert outcome.code == 2 and message in outcome.stderr and "Traceback" not in outcome.stderr


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


@pytest.mark.skipif(sys.platform != "linux", reason="limits files as Linux does")
@pytest.mark.parametrize(("extra", "code"), [((), 1), (("--timings", "--end", "2"), 0)])
def test_a_full_disk_ends_the_recording_alone(aif_edit, tmp_path, extra, code):
    """With nothing else to do the command ends, too; with something, it goes on."""
    out, before = tmp_path / "out.mp4", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        done = aif_edit("--webcam", "synthetic:320x240@30", "--headless", "--record", out, *extra)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.code == code and "Recording stopped: File too large" in done.stderr
    assert "Traceback" not in done.stderr and [each.name for each in tmp_path.iterdir()] == ["out.mp4"]
    with av.open(str(out)) as film:
        assert next(film.decode(video=0)).width == 320


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_signal_ends_it_cleanly(bundle, tmp_path):
    out = tmp_path / "out.mkv"
    command = [sys.executable, "-m", "aif.cli.main", "edit", "--webcam", SOURCE, "--headless", "--record"]
    words = [str(out), "--bundle", str(bundle), "--detector", "haar", "--threads", "1"]
    running = subprocess.Popen([*command, *words], stderr=subprocess.PIPE, text=True)
    until((tmp_path / "out.mkv.part").exists)
    time.sleep(1.0)
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 0 and "frames" in said and "Traceback" not in said
    assert len(frames_of(out)) >= 1
