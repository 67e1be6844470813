"""Stages at once: in order, one for one, with few frames in memory; and no error gets lost or hangs."""

import threading
import time
import traceback
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from aif.runtime.video.pipeline import run_pipeline
from aif.runtime.video.read import VideoFrame


class Film:
    """Frames with their number as their colour, and account of how many there are in memory."""

    def __init__(self, count, pause=0.0):
        self.count, self.pause = count, pause
        self.given = self.closed = 0

    def __iter__(self):
        try:
            for i in range(self.count):
                time.sleep(self.pause)
                self.given += 1
                yield VideoFrame(np.full((4, 4, 3), i % 256, np.uint8), 40 * i, Fraction(1, 1000), i)
        finally:
            self.closed += 1


class Reel:
    """A sink that keeps what it is given."""

    def __init__(self, pause=0.0):
        self.pause, self.frames = pause, 0
        self.images: list[int] = []
        self.times: list[float] = []

    def write(self, image_hwc_bgr, frame):
        time.sleep(self.pause)
        self.frames += 1
        self.images.append(int(image_hwc_bgr[0, 0, 0]))
        self.times.append(frame.time_s)


def negative(image, time_s):
    return 255 - image


def threads():
    return [each.name for each in threading.enumerate() if each.name.startswith("aif-")]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 250])
@pytest.mark.parametrize("depth", [1, 3, 100])
def test_all_frames_in_order(count, depth):
    film, reel, seen = Film(count), Reel(), []
    result = run_pipeline(film, negative, reel, progress=seen.append, depth=depth)
    assert reel.images == [255 - i for i in range(count)] and reel.times == [i / 25 for i in range(count)]
    assert (result.frames, result.stopped_early) == (count, False) and seen == list(range(1, count + 1))
    assert set(result.stage_seconds) == {"decode", "edit", "compose", "encode"} and not threads()
    assert result.fps == pytest.approx(count / result.seconds)


@pytest.mark.parametrize("slowest", ["decode", "edit", "compose", "encode"])
def test_stages_overlap(slowest):
    pause = {stage: 0.02 if stage == slowest else 0.01 for stage in ("decode", "edit", "compose", "encode")}

    def edit(image, time_s):
        time.sleep(pause["edit"])
        return lambda: time.sleep(pause["compose"]) or image

    result = run_pipeline(Film(40, pause["decode"]), edit, Reel(pause["encode"]))
    work = result.stage_seconds
    assert max(work, key=lambda stage: work[stage]) == slowest and work[slowest] >= 0.8
    assert result.seconds < 0.7 * sum(work.values()), "one after the other would take the sum"


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
@pytest.mark.parametrize("slow", ["edit", "compose", "encode"])
def test_memory_is_bounded(depth, slow):
    pause = {stage: 0.004 * (stage == slow) for stage in ("edit", "compose", "encode")}
    film, reel, most = Film(30), Reel(pause["encode"]), 0

    def edit(image, time_s):
        nonlocal most
        most = max(most, film.given - reel.frames)
        time.sleep(pause["edit"])
        return lambda: time.sleep(pause["compose"]) or image

    assert run_pipeline(film, edit, reel, depth=depth).frames == 30
    assert 2 <= most <= 2 * depth + 5


@pytest.mark.parametrize("where", ["source", "edit", "picture", "sink", "progress"])
@pytest.mark.parametrize("depth", [1, 4])
def test_an_error_anywhere_reaches_the_caller(where, depth):
    film, reel, calls = Film(1000), Reel(), Counter()

    def breaks(name):
        calls[name] += 1
        if name == where and calls[name] == 5:
            raise ZeroDivisionError(name)

    def edit(image, time_s):
        breaks("edit")
        return lambda: breaks("picture") or image

    def source():
        for frame in film:
            breaks("source")
            yield frame

    def write(image, frame, plain=reel.write):
        breaks("sink")
        plain(image, frame)

    reel.write = write
    with pytest.raises(ZeroDivisionError, match=f"^{where}$") as raised:
        run_pipeline(source(), edit, reel, progress=lambda done: breaks("progress"), depth=depth)
    names = [entry.name for entry in traceback.extract_tb(raised.value.__traceback__)]
    assert names[-1] == "breaks", "its own traceback"
    assert not threads() and film.given < 50


@pytest.mark.parametrize("after", [0, 1, 17, 40])
def test_stopping_early_finishes_what_is_in_work(after):
    """After the last frame it is no stop."""
    stop, film, reel = threading.Event(), Film(40), Reel()
    if not after:
        stop.set()

    def progress(done):
        if done == after:
            stop.set()

    result = run_pipeline(film, negative, reel, stop=stop, progress=progress)
    assert result.stopped_early == (after < 40) and result.frames == reel.frames == after and not threads()
    assert reel.images == [255 - i for i in range(after)] and film.given <= after + 6


def test_ctrl_c_in_an_edit_still_writes_what_was_edited():
    reel = Reel(0.005)

    def edit(image, time_s):
        if time_s > 0.35:  # the tenth frame
            raise KeyboardInterrupt
        return image

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(Film(100), edit, reel)
    assert reel.images == list(range(9)) and not threads()
