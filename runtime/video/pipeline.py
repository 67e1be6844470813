"""Decode, edit and encode at the same time, in order, with few frames in memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from aif.runtime.arrays import UInt8Array
from aif.runtime.threads import Channel, Failure
from aif.runtime.video.read import VideoFrame

Stage = Literal["decode", "edit", "compose", "encode"]
Making = UInt8Array | Callable[[], UInt8Array]

# Frames that wait between two stages. More would only smooth out unevenness, and take memory.
DEPTH = 3


class Sink(Protocol):
    """Where a pipeline puts its frames."""

    frames: int

    def write(self, image_hwc_bgr: UInt8Array, frame: VideoFrame) -> None:
        """Take the next image, to be shown when `frame` was."""
        ...


@dataclass(frozen=True)
class PipelineResult:
    """How a run went: frames written, seconds, whether it was stopped early, and how long each stage was at
    work; as they overlap, their sum may be more than `seconds`.
    """

    frames: int
    seconds: float
    stage_seconds: dict[Stage, float]
    stopped_early: bool

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


def run_pipeline(
    source: Iterable[VideoFrame],
    edit: Callable[[UInt8Array, float], Making],
    sink: Sink,
    *,
    stop: threading.Event | None = None,
    progress: Callable[[int], None] | None = None,
    depth: int = DEPTH,
) -> PipelineResult:
    """Edit every frame of a source into a sink, one for one and in order.

    The source is read in one thread and the sink written in another; the editing is done in the caller's. At
    most 2 x depth + 5 frames are in memory. The sink is not closed.

    Args:
        source: frames, in order.
        edit: (uint8 (H, W, 3) BGR, time in seconds) to the edited image, or to what makes it, which is called
            in a thread of its own beside the next frame's `edit`; both in order.
        sink: takes the edited images.
        stop: once it is set, the frame in work is finished, all edited ones are written, and the run ends.
        progress: called with the number of frames so far that `edit` has seen, in the caller's thread.
        depth: frames that may wait between two stages, at least 1.

    Raises:
        Exception: whatever source, edit or sink raise, once the threads have ended.
    """
    decoded: Channel[VideoFrame] = Channel(depth)
    begun: Channel[tuple[Making, VideoFrame]] = Channel()
    edited: Channel[tuple[UInt8Array, VideoFrame]] = Channel(depth)
    channels: tuple[Channel[Any], ...] = (decoded, begun, edited)
    seconds: dict[Stage, float] = {"decode": 0.0, "edit": 0.0, "compose": 0.0, "encode": 0.0}
    failure = Failure()
    written = 0

    @contextlib.contextmanager
    def timed(stage: Stage) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[stage] += time.perf_counter() - start

    def decode() -> None:
        frames = iter(source)
        while True:
            with timed("decode"):
                frame = next(frames, None)
            if frame is None or not decoded.put(frame):
                return

    def compose() -> None:
        for making, frame in begun:
            with timed("compose"):
                image = making() if callable(making) else making
            if not edited.put((image, frame)):
                return

    def encode() -> None:
        nonlocal written
        for image, frame in edited:
            with timed("encode"):
                sink.write(image, frame)
            written += 1

    def guarded(work: Callable[[], None], onto: Channel[Any]) -> None:
        try:
            work()
        except BaseException as error:
            failure.keep(error)
            for channel in channels:
                channel.close(drop=True)
        finally:
            onto.close()

    threads = [
        threading.Thread(target=guarded, args=(work, onto), name=f"aif-{work.__name__}", daemon=True)
        for work, onto in ((decode, decoded), (compose, edited), (encode, edited))
    ]
    begin = time.perf_counter()
    stopped, done = False, 0
    for thread in threads:
        thread.start()
    try:
        for frame in decoded:
            if stop is not None and stop.is_set():
                stopped = True
                break
            with timed("edit"):
                making = edit(frame.image_hwc_bgr, frame.time_s)
            if not begun.put((making, frame)):
                break
            done += 1
            if progress is not None:
                progress(done)
    except KeyboardInterrupt:
        raise  # what has been edited is still written
    except BaseException:
        for channel in channels:
            channel.close(drop=True)
        raise
    finally:
        decoded.close(drop=True)
        begun.close()
        _join(threads, channels)
    failure.raise_once()
    return PipelineResult(written, time.perf_counter() - begin, seconds, stopped)


def _join(threads: list[threading.Thread], channels: tuple[Channel[Any], ...]) -> None:
    """Wait for the threads, also against further Ctrl-Cs, which only drop the frames that still wait."""
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join(0.5)
            except KeyboardInterrupt:
                for channel in channels:
                    channel.close(drop=True)
