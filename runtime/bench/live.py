"""Live editing under the clock: rate, delay from capture to edited frame, and whether either grows worse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from functools import partial
from itertools import cycle

import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.bench.measure import NETWORKS, Rounds, Row, Setup, Stopwatch, Turn, editor_row
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import NoFaceError
from aif.runtime.live.camera import Camera, CameraError
from aif.runtime.live.edit import LiveEdit
from aif.runtime.live.loop import LiveSession
from aif.runtime.machine import resident_mib
from aif.runtime.threads import shared_cores
from aif.runtime.video.editor import VideoFrameResult
from aif.runtime.video.pipeline import run_pipeline
from aif.runtime.video.read import VideoFrame

STAGES = ("track", "align", *NETWORKS, "composite", "capture_to_edited")

HELD_FRAMES = 32
"""Frames of the camera that are edited over and over, to and fro, for the rate without its wait."""
LONGEST_FREE_RUN = 10.0
"""Seconds that this takes at most."""
WINDOW = 60.0
"""Seconds at a session's start and end that are compared; its halves where it is shorter than two minutes."""


def bench_live(
    editors: Mapping[Setup, Editor], connect: Callable[[], Camera], edits: Mapping[str, float], rounds: Rounds
) -> list[Row]:
    """Edit a camera's frames as they come, and in between as fast as possible, in every setup.

    docs/benchmarks.md has the figures. `connect` opens the camera: once before, and for each session.
    """
    held, period = _held(connect)
    seconds = rounds.seconds or LONGEST_FREE_RUN
    turns: dict[tuple[Setup, str], Callable[[], Turn]] = {}
    for setup, editor in editors.items():
        live = partial(LiveEdit, editor, edits, threads=setup.threads)
        _free(live, held, period, 0.5)  # warms up
        free = partial(_free, live, held, period, min(seconds, LONGEST_FREE_RUN))
        session = partial(_session, live, connect, seconds)
        turns[setup, "free"] = partial(_with_cores_shared, setup, free)
        turns[setup, "session"] = partial(_with_cores_shared, setup, session)
    found = rounds.take_turns(turns)
    return [
        editor_row(setup, editor, STAGES, [*found[setup, "session"], *found[setup, "free"]])
        for setup, editor in editors.items()
    ]


def _with_cores_shared(setup: Setup, turn: Callable[[], Turn]) -> Turn:
    """A turn as in a live window."""
    with shared_cores(setup.threads):
        return turn()


def _held(connect: Callable[[], Camera]) -> tuple[list[UInt8Array], float]:
    """Some frames of the camera, and the seconds from one to the next."""
    with closing(connect()) as camera:
        found = [frame for _ in range(HELD_FRAMES) if (frame := camera.read()) is not None]
    if len(found) < 2:
        raise CameraError(f"{camera.name} gives no frames.", "Choose another camera.")
    return [frame.image_hwc_bgr for frame in found], (found[-1].time_s - found[0].time_s) / (len(found) - 1)


def _free(live: Callable[[], LiveEdit], held: list[UInt8Array], period: float, seconds: float) -> Turn:
    """Frames a second where the next frame is always there."""
    end = time.perf_counter() + seconds

    def frames() -> Iterator[VideoFrame]:
        for number, image in enumerate(cycle([*held, *held[-2:0:-1]])):
            if time.perf_counter() >= end:
                return
            yield VideoFrame(image, number, Fraction(period), number)

    with closing(live()) as edit:

        def picture(image_hwc_bgr: UInt8Array, time_s: float) -> Callable[[], UInt8Array]:
            make = edit(image_hwc_bgr, time_s)
            return lambda: make()[0]

        return Turn({"free_per_second": run_pipeline(frames(), picture, _Nowhere()).fps})


class _Nowhere:
    """A sink that takes no time."""

    frames = 0

    def write(self, image_hwc_bgr: UInt8Array, frame: VideoFrame) -> None:
        pass


def _session(live: Callable[[], LiveEdit], connect: Callable[[], Camera], seconds: float) -> Turn:
    """One live session whose viewer takes every frame at once."""
    watch = Stopwatch()
    edited_s: list[float] = []
    memory_s: list[float] = []
    memory: list[float] = []
    with_faces = renewed = 0
    with closing(live()) as edit, LiveSession(connect, edit) as session:
        begin = now = time.monotonic()
        while now < begin + seconds and not session.ended:
            shown = session.next(0.2)
            now = time.monotonic()
            if shown is not None and isinstance(shown.details, VideoFrameResult):
                edited_s.append(shown.edited_s - begin)
                with_faces += bool(shown.details.y)
                renewed += bool(shown.details.renewed)
                watch.add_edit(shown.details.timings)
                watch.seconds["capture_to_edited"].append(shown.edited_s - shown.captured_s)
            if not memory_s or now - begin - memory_s[-1] >= 1:
                memory_s.append(now - begin)
                memory.append(resident_mib() or 0.0)
        captured = session.stats().captured
        spent = now - begin
    if not with_faces:
        raise NoFaceError(
            "No frame of the camera showed a face that could be edited.", "Look into it, or use synthetic."
        )
    delays = [1000 * delay for delay in watch.seconds["capture_to_edited"]]
    first, last = first_and_last(edited_s, delays, spent)
    before, after = first_and_last(memory_s, memory, spent)
    figures = {
        "camera_per_second": captured / spent,
        "edited_per_second": len(delays) / spent,
        "edited_share": len(delays) / captured,
        "frames_with_faces_share": with_faces / len(delays),
        "renewed_share": renewed / with_faces,
        "delay_first_ms": first,
        "delay_last_ms": last,
        "delay_growth": last / first,
    }
    if any(memory):  # not every system says
        figures |= {"memory_first_mib": before, "memory_last_mib": after, "memory_growth_mib": after - before}
    return Turn(figures, watch)


def first_and_last(times_s: Sequence[float], values: Sequence[float], seconds: float) -> tuple[float, float]:
    """Medians of the values in the first and in the last minute of a session, or in its halves.

    `times_s` rise from the start of the session on; there is at least one.
    """
    times, found = np.asarray(times_s), np.asarray(values)
    window = min(WINDOW, seconds / 2)
    first, last = found[times < window], found[times >= seconds - window]
    # Where frames come so slowly that a part has none, the nearest one stands for it.
    return (
        float(np.median(first if len(first) else found[:1])),
        float(np.median(last if len(last) else found[-1:])),
    )
