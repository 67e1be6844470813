"""Decode, edit and encode at the same time, in order, with few frames in memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import ConfigError
from aif.runtime.video.read import Frame
from aif.runtime.video.sinks import Sink

Item = TypeVar("Item")
Stage = Literal["decode", "edit", "encode"]

# Frames that wait between two stages. More would only smooth out unevenness, and take memory.
DEPTH = 3


@dataclass(frozen=True)
class PipelineResult:
    """How a run went.

    Attributes:
        frames: written to the sink.
        seconds: from the start to the last frame's writing.
        stage_seconds: how long each of decode, edit and encode was at work; as they overlap, their sum may be
            more than `seconds`, and the longest of them is what the others wait for.
        stopped_early: the stop event was set while there were frames left.
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
    source: Iterable[Frame],
    edit: Callable[[UInt8Array, float], UInt8Array],
    sink: Sink,
    *,
    stop: threading.Event | None = None,
    progress: Callable[[int], None] | None = None,
    depth: int = DEPTH,
) -> PipelineResult:
    """Edit every frame of a source into a sink, one for one and in order.

    The source is read in one thread and the sink written in another; the editing is done in the caller's. At
    most 2 x depth + 3 frames are in memory. The sink is not closed.

    Args:
        source: frames, in order.
        edit: (uint8 (H, W, 3) BGR, time in seconds) to the edited image; called for each frame in order.
        sink: takes the edited images.
        stop: once it is set, the frame in work is finished, all edited ones are written, and the run ends.
        progress: told the number of frames edited so far, in the caller's thread.
        depth: frames that may wait between two stages.

    Raises:
        ConfigError: depth is less than 1.
        Exception: whatever source, edit or sink raise, with its own traceback, once both threads have ended.
    """
    if depth < 1:
        raise ConfigError(f"The depth must be at least 1, not {depth}.")
    decoded: _Channel[Frame] = _Channel(depth)
    edited: _Channel[tuple[UInt8Array, Frame]] = _Channel(depth)
    seconds: dict[Stage, float] = {"decode": 0.0, "edit": 0.0, "encode": 0.0}
    errors: list[BaseException] = []
    written = 0

    def decode() -> None:
        frames = iter(source)
        while True:
            start = time.perf_counter()
            frame = next(frames, None)
            seconds["decode"] += time.perf_counter() - start
            if frame is None or not decoded.put(frame):
                return

    def encode() -> None:
        nonlocal written
        for image, frame in edited:
            start = time.perf_counter()
            sink.write(image, frame)
            seconds["encode"] += time.perf_counter() - start
            written += 1

    def guarded(work: Callable[[], None], output: _Channel[Frame] | None) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            decoded.abort()
            edited.abort()
        finally:
            if output is not None:
                output.close()

    threads = [
        threading.Thread(target=guarded, args=(decode, decoded), name="aif-decode", daemon=True),
        threading.Thread(target=guarded, args=(encode, None), name="aif-encode", daemon=True),
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
            start = time.perf_counter()
            image = edit(frame.image_hwc_bgr, frame.time_s)
            seconds["edit"] += time.perf_counter() - start
            if not edited.put((image, frame)):
                break
            done += 1
            if progress is not None:
                progress(done)
    except KeyboardInterrupt:
        raise  # what has been edited is still written
    except BaseException:
        edited.abort()
        raise
    finally:
        decoded.abort()
        edited.close()
        _join(threads, edited)
    if errors:
        raise errors[0]
    return PipelineResult(written, time.perf_counter() - begin, seconds, stopped)


def _join(threads: list[threading.Thread], edited: _Channel[tuple[UInt8Array, Frame]]) -> None:
    """Wait for both threads, also against further Ctrl-Cs, which only drop the frames that still wait."""
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join(0.5)
            except KeyboardInterrupt:
                edited.abort()


class _Channel(Generic[Item]):
    """A queue between two threads that holds few items, and that either side can end without hanging."""

    def __init__(self, depth: int) -> None:
        self._items: deque[Item] = deque()
        self._depth = depth
        self._changed = threading.Condition()
        self._closed = self._aborted = False

    def put(self, item: Item) -> bool:
        """Add an item as soon as there is room; False once the channel has been aborted."""
        with self._changed:
            self._changed.wait_for(lambda: self._aborted or len(self._items) < self._depth)
            if not self._aborted:
                self._items.append(item)
                self._changed.notify_all()
            return not self._aborted

    def __iter__(self) -> Iterator[Item]:
        """The items as they come, until the channel has been closed and emptied, or aborted."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._aborted or self._closed or self._items)
                if self._aborted or not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            del item

    def close(self) -> None:
        """No more items will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Drop what waits; neither side waits any longer."""
        with self._changed:
            self._aborted = True
            self._items.clear()
            self._changed.notify_all()
