"""Three stages at once: in order, one for one, with few frames in memory; and no error gets lost or hangs."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from aif.runtime.arrays import UInt8Array
from aif.runtime.video.pipeline import run_pipeline
from aif.runtime.video.read import VideoFrame, VideoSource
from aif.runtime.video.write import VideoSink

Clip = Callable[..., Path]


class Film:
    """Frames with their number as their colour, and account of how many there are in memory."""

    def __init__(self, count: int, pause: float = 0.0) -> None:
        self.count, self.pause = count, pause
        self.given = self.closed = 0

    def __iter__(self) -> Iterator[VideoFrame]:
        try:
            for i in range(self.count):
                time.sleep(self.pause)
                self.given += 1
                yield VideoFrame(np.full((4, 4, 3), i % 256, np.uint8), 40 * i, Fraction(1, 1000), i)
        finally:
            self.closed += 1


class Reel:
    """A sink that keeps what it is given."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause, self.frames = pause, 0
        self.images: list[int] = []
        self.times: list[float] = []

    def write(self, image_hwc_bgr: UInt8Array, frame: VideoFrame) -> None:
        time.sleep(self.pause)
        self.frames += 1
        self.images.append(int(image_hwc_bgr[0, 0, 0]))
        self.times.append(frame.time_s)


def negative(image: UInt8Array, time_s: float) -> UInt8Array:
    return 255 - image


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("aif-")]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 250])
@pytest.mark.parametrize("depth", [1, 3, 100])
def test_all_frames_in_order(count: int, depth: int) -> None:
    film, reel, seen = Film(count), Reel(), []
    result = run_pipeline(film, negative, reel, progress=seen.append, depth=depth)
    assert reel.images == [255 - i for i in range(count)] and reel.times == [i / 25 for i in range(count)]
    assert (result.frames, result.stopped_early) == (count, False) and seen == list(range(1, count + 1))
    assert set(result.stage_seconds) == {"decode", "edit", "encode"} and not threads()
    assert result.fps == pytest.approx(count / result.seconds)


@pytest.mark.parametrize("slowest", ["decode", "edit", "encode"])
def test_stages_overlap(slowest: str) -> None:
    pause = {stage: 0.02 if stage == slowest else 0.01 for stage in ("decode", "edit", "encode")}

    def edit(image: UInt8Array, time_s: float) -> UInt8Array:
        time.sleep(pause["edit"])
        return image

    result = run_pipeline(Film(40, pause["decode"]), edit, Reel(pause["encode"]))
    work = result.stage_seconds
    assert max(work, key=lambda stage: work[stage]) == slowest and work[slowest] >= 0.8  # type: ignore[index]
    assert result.seconds < 0.8 * sum(work.values()), "one after the other would take the sum"


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
@pytest.mark.parametrize("slow", ["edit", "encode"])
def test_memory_is_bounded(depth: int, slow: str) -> None:
    film, most = Film(60), 0

    def edit(image: UInt8Array, time_s: float) -> UInt8Array:
        nonlocal most
        most = max(most, film.given - reel.frames)
        time.sleep(0.004 if slow == "edit" else 0)
        return image

    reel = Reel(0.004 if slow == "encode" else 0)
    assert run_pipeline(film, edit, reel, depth=depth).frames == 60
    assert 2 <= most <= 2 * depth + 3


def broken_source() -> Iterator[VideoFrame]:
    yield from Film(5)
    raise ZeroDivisionError("source")


def broken_edit(image: UInt8Array, time_s: float) -> UInt8Array:
    if time_s > 0.15:
        raise ZeroDivisionError("edit")
    return image


class BrokenSink(Reel):
    def write(self, image_hwc_bgr: UInt8Array, frame: VideoFrame) -> None:
        super().write(image_hwc_bgr, frame)
        if self.frames == 5:
            raise ZeroDivisionError("sink")


def broken_progress(done: int) -> None:
    if done == 5:
        raise ZeroDivisionError("progress")


@pytest.mark.parametrize("where", ["source", "edit", "sink", "progress"])
@pytest.mark.parametrize("depth", [1, 4])
def test_an_error_anywhere_reaches_the_caller(where: str, depth: int) -> None:
    film = Film(1000)
    with pytest.raises(ZeroDivisionError, match=f"^{where}$") as raised:
        run_pipeline(
            broken_source() if where == "source" else film,
            broken_edit if where == "edit" else negative,
            BrokenSink() if where == "sink" else Reel(),
            progress=broken_progress if where == "progress" else None,
            depth=depth,
        )
    names = [entry.name for entry in traceback.extract_tb(raised.value.__traceback__)]
    assert names[-1] in {f"broken_{where}", "write"}, "its own traceback"
    assert not threads() and film.given < 50


@pytest.mark.parametrize("after", [0, 1, 17])
def test_stopping_early_finishes_what_is_in_work(after: int) -> None:
    stop, film, reel = threading.Event(), Film(1000), Reel()
    if not after:
        stop.set()

    def progress(done: int) -> None:
        if done == after:
            stop.set()

    result = run_pipeline(film, negative, reel, stop=stop, progress=progress)
    assert result.stopped_early and result.frames == reel.frames == after and not threads()
    assert reel.images == [255 - i for i in range(after)] and film.given <= after + 6


def test_stopping_after_the_last_frame_is_no_stop() -> None:
    stop = threading.Event()
    result = run_pipeline(
        Film(5), negative, Reel(), stop=stop, progress=lambda done: done == 5 and stop.set()
    )
    assert not result.stopped_early and result.frames == 5


def test_ctrl_c_in_an_edit_still_writes_what_was_edited() -> None:
    reel = Reel(0.005)

    def edit(image: UInt8Array, time_s: float) -> UInt8Array:
        if time_s > 0.35:  # the tenth frame
            raise KeyboardInterrupt
        return image

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(Film(100), edit, reel)
    assert reel.images == list(range(9)) and not threads()


def pixels(path: Path) -> list[UInt8Array]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_the_same_file_as_one_after_the_other(tmp_path: Path, make_clip: Clip) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=30, audio="aac", size=(96, 64))
    with VideoSource(path) as source, VideoSink(tmp_path / "one.mp4", source) as sink:
        for frame in source:
            sink.write(negative(frame.image_hwc_bgr, frame.time_s), frame)
    with VideoSource(path) as source, VideoSink(tmp_path / "all.mp4", source) as sink:
        result = run_pipeline(source, negative, sink)
        assert source.exhausted and result.frames == source.count == sink.frames == 30
    one, together = pixels(tmp_path / "one.mp4"), pixels(tmp_path / "all.mp4")
    assert len(one) == len(together) == 30
    # x264 decides on its threads how it spends its bits: single pixels may differ, frames may not
    assert max(float(np.abs(a.astype(int) - b).mean()) for a, b in zip(one, together, strict=True)) < 1
    assert abs(int(one[0][40, 40, 0]) - (255 - 30)) < 4


def test_stopping_a_real_file_cuts_its_sound(tmp_path: Path, make_clip: Clip) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=60, rate=Fraction(25), audio="aac")
    stop = threading.Event()
    with VideoSource(path) as source, VideoSink(tmp_path / "out.mp4", source) as sink:
        result = run_pipeline(
            source, negative, sink, stop=stop, progress=lambda done: done == 20 and stop.set()
        )
    assert result.stopped_early and len(pixels(tmp_path / "out.mp4")) == 20
    with av.open(str(tmp_path / "out.mp4")) as container:
        last = [packet.pts for packet in container.demux(audio=0) if packet.pts is not None][-1]
    assert 0.75 < last / 44100 < 0.8
