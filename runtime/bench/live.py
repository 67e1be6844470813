"""Live editing under the clock: rate, delay from capture to edited frame, and whether either grows worse."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array
from aif.runtime.bench.measure import (
    NETWORKS,
    Progress,
    Row,
    Setup,
    Stopwatch,
    Turn,
    rows_of,
    take_turns,
)
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import NoFaceError
from aif.runtime.live.camera import Camera, CameraError
from aif.runtime.live.edit import LiveEdit
from aif.runtime.live.loop import LiveSession
from aif.runtime.machine import resident_mib
from aif.runtime.video.editor import VideoFrameResult

EDIT = ("track", "align", "encode", "decode_faces", "composite")
STAGES = (*EDIT, "capture_to_edited")

HELD_FRAMES = 32
"""Frames of the camera that are edited over and over, to and fro, for the rate without its wait."""
LONGEST_FREE_RUN = 10.0
"""Seconds that this takes at most."""
WINDOW = 60.0
"""Seconds at a session's start and end that are compared; its halves where it is shorter than two minutes."""


@dataclass
class _Log:
    """What a session left behind; plain numbers, so that the log itself takes hardly any memory."""

    captured_s: array[float] = field(default_factory=lambda: array("d"))
    edited_s: array[float] = field(default_factory=lambda: array("d"))
    memory_s: array[float] = field(default_factory=lambda: array("d"))
    memory_mib: array[float] = field(default_factory=lambda: array("d"))
    with_faces: int = 0
    renewed: int = 0


def bench_live(
    editors: Mapping[Setup, Editor],
    connect: Callable[[], Camera],
    edits: Mapping[str, float],
    seconds: float,
    rounds: int,
    progress: Progress | None = None,
) -> list[Row]:
    """Edit a camera's frames as they come, and in between as fast as possible, in every setup.

    Figures: `camera_per_second` and `edited_per_second` frames in the session, `edited_share` of the camera's
    frames (the others were overtaken by newer ones), `free_per_second` frames without the camera's wait: its
    frames held in memory and edited one after the other. Delay:
    `delay_first_ms` and `delay_last_ms`, medians of the first and the last minute (or half), and
    `delay_growth`, their ratio. Memory of the whole process: `memory_first_mib` and `memory_last_mib`, alike,
    and `memory_growth_mib`. `networks_share_of_edit`, `frames_with_faces_share`, and `renewed_share` of these
    frames, in which encoder and decoder run.

    Args:
        editors: by setup; they take turns.
        connect: opens the camera; called for each session and once before.
        edits: as for `LiveEdit`.
        seconds: length of each session.
        rounds: sessions of each setup.

    Raises:
        NoFaceError: no frame had a face.
        CameraError: the camera cannot be opened or gives no frames.
    """
    held, period = _held(connect)
    turns: dict[tuple[Setup, str], Callable[[], Turn]] = {}
    for setup, editor in editors.items():
        _free(editor, setup, edits, held, period, 0.5)  # warms up
        free = min(seconds, LONGEST_FREE_RUN)
        turns[setup, "free"] = partial(_free, editor, setup, edits, held, period, free)
        turns[setup, "session"] = partial(_session, editor, setup, edits, connect, seconds)
    turned = take_turns(turns, rounds, progress)
    found = {setup: [*turned[setup, "session"], *turned[setup, "free"]] for setup in editors}
    return rows_of(editors, STAGES, found)


def _held(connect: Callable[[], Camera]) -> tuple[list[UInt8Array], float]:
    """Some frames of the camera, and the seconds from one to the next."""
    camera = connect()
    try:
        found = [frame for _ in range(HELD_FRAMES) if (frame := camera.read()) is not None]
    finally:
        camera.close()
    if len(found) < 2:
        raise CameraError(f"{camera.name} gives no frames.", "Choose another camera.")
    return [frame.image_hwc_bgr for frame in found], (found[-1].time_s - found[0].time_s) / (len(found) - 1)


def _free(
    editor: Editor,
    setup: Setup,
    edits: Mapping[str, float],
    held: list[UInt8Array],
    period: float,
    seconds: float,
) -> Turn:
    """Frames a second where the next frame is always there."""
    to_and_fro = [*held, *held[-2:0:-1]]
    with closing(LiveEdit(editor, edits, threads=setup.threads)) as edit:
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            edit(to_and_fro[count % len(to_and_fro)], count * period)
            count += 1
        return Turn({"free_per_second": count / (time.perf_counter() - begin)})


def _session(
    editor: Editor,
    setup: Setup,
    edits: Mapping[str, float],
    connect: Callable[[], Camera],
    seconds: float,
) -> Turn:
    """One live session whose viewer takes every frame at once."""
    log, own = _Log(), Stopwatch()
    with (
        closing(LiveEdit(editor, edits, threads=setup.threads)) as edit,
        LiveSession(connect, edit) as session,
    ):
        begin = now = time.monotonic()
        while now < begin + seconds and not session.ended:
            shown = session.next(0.2)
            now = time.monotonic()
            if shown is not None and isinstance(shown.details, VideoFrameResult):
                log.captured_s.append(shown.captured_s)
                log.edited_s.append(shown.edited_s)
                log.with_faces += bool(shown.details.y)
                log.renewed += bool(shown.details.renewed)
                own.add_edit(shown.details.timings)
                own.add("capture_to_edited", shown.edited_s - shown.captured_s)
            _note_memory(log, now)
        captured = session.stats().captured
        spent = now - begin
    if not log.with_faces:
        raise NoFaceError(
            "No frame of the camera showed a face that could be edited.", "Look into it, or use synthetic."
        )
    delays = np.asarray(log.edited_s) - np.asarray(log.captured_s)
    figures = {
        "camera_per_second": captured / spent,
        "edited_per_second": len(delays) / spent,
        "edited_share": len(delays) / captured,
        "frames_with_faces_share": log.with_faces / len(delays),
        "renewed_share": log.renewed / log.with_faces,
        "networks_share_of_edit": own.total(NETWORKS) / own.total(EDIT),
    }
    first, last = first_and_last(np.asarray(log.edited_s) - begin, 1000 * delays, spent)
    figures |= {"delay_first_ms": first, "delay_last_ms": last, "delay_growth": last / first}
    if len(log.memory_s) > 1:
        first, last = first_and_last(np.asarray(log.memory_s) - begin, np.asarray(log.memory_mib), spent)
        figures |= {"memory_first_mib": first, "memory_last_mib": last, "memory_growth_mib": last - first}
    return Turn(figures, own)


def first_and_last(
    times_s: npt.NDArray[np.float64], values: npt.NDArray[np.float64], seconds: float
) -> tuple[float, float]:
    """Medians of the values in the first and in the last minute of a session.

    Args:
        times_s, values: (N,) each; times from the start of the session on, rising.
        seconds: length of the session; in one shorter than two minutes its halves are compared.

    Raises:
        ValueError: there are no values.
    """
    if not len(values):
        raise ValueError("there are no values to compare")
    window = min(WINDOW, seconds / 2)
    first, last = values[times_s < window], values[times_s >= seconds - window]
    # Where frames come so slowly that a part has none, the nearest one stands for it.
    return (
        float(np.median(first if len(first) else values[:1])),
        float(np.median(last if len(last) else values[-1:])),
    )


def _note_memory(log: _Log, now: float) -> None:
    """About once a second."""
    if log.memory_s and now - log.memory_s[-1] < 1:
        return
    memory = resident_mib()
    if memory is not None:
        log.memory_s.append(now)
        log.memory_mib.append(memory)
