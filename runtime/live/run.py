"""A camera, stream or file edited live, in a window or without one, until the user ends it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from aif.runtime.editing.editor import Editor
from aif.runtime.live.camera import CameraFormat, open_camera
from aif.runtime.live.choices import LiveChoices
from aif.runtime.live.controls import Controls
from aif.runtime.live.edit import LiveEdit
from aif.runtime.live.loop import LiveSession
from aif.runtime.live.outlets import Outlets
from aif.runtime.live.viewer import Viewer
from aif.runtime.signals import stop_on_signals
from aif.runtime.threads import shared_cores, shared_threads

Say = Callable[[str], None]


def run_live(editor: Editor, choices: LiveChoices, settings: Mapping[str, float], say: Say) -> int:
    """Edit until the user has had enough; the exit code. `say` takes each line for the user.

    Raises:
        AifError: the camera cannot be opened at first, a place cannot be written, there is no display.
    """
    threads = shared_threads(choices.threads)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        stack.enter_context(shared_cores(threads))
        edit = LiveEdit(editor, settings, choices.mode, choices.faces, threads)
        stack.callback(edit.close)
        outlets = Outlets(choices)
        stack.callback(_close, outlets, say)
        session = stack.enter_context(
            LiveSession(lambda: open_camera(choices.source, choices.wanted), edit, outlets.each)
        )
        say(_negotiated(session, choices.wanted))
        if choices.record is not None:
            say(outlets.start_recording())
        if choices.virtual_camera:
            say(outlets.open_virtual_camera(session.granted))
        begin = time.monotonic()

        def over() -> bool:
            return stop.is_set() or (choices.seconds or math.inf) <= time.monotonic() - begin

        code = 0
        if choices.headless:
            alone = choices.record is not None and not (choices.virtual_camera or choices.timings)
            code = _headless(session, outlets, over, alone, say)
        else:
            controls = Controls(
                editor.model.manifest.attributes, settings, compare=choices.compare, mirror=choices.mirror
            )
            with contextlib.closing(Viewer(session, edit, controls, outlets)) as viewer:
                viewer.run(over)
        if session.ended and not code:
            session.next(0)  # raises what ended it
            say(session.status)
        if choices.timings:
            for line in _report(session, time.monotonic() - begin):
                say(line)
    return code


def _close(outlets: Outlets, say: Say) -> None:
    for line in outlets.close():
        say(line)


def _headless(session: LiveSession, outlets: Outlets, over: Callable[[], bool], alone: bool, say: Say) -> int:
    """The exit code: 1 where the recording, which was all there was to do, has failed."""
    while not over() and not session.ended:
        session.next(0.2)
        for line in outlets.news():
            say(line)
            if alone:
                return 1
    return 0


def _negotiated(session: LiveSession, wanted: CameraFormat) -> str:
    """What the camera gives, and what it was asked for where that is something else."""
    pairs = zip(vars(wanted).values(), vars(session.granted).values(), strict=True)
    same = all(mine is None or mine == theirs for mine, theirs in pairs)
    return session.status + ("" if same else f" (asked for: {wanted})")


def _report(session: LiveSession, seconds: float) -> Iterator[str]:
    """The whole run's figures."""
    stats, clock = session.stats(), session.clock
    yield (
        f"{stats.captured} frames captured, {stats.edited} edited in {seconds:.1f} s "
        f"({stats.edited / seconds:.1f}/s), {stats.dropped} overtaken by a newer one"
    )
    for name, times in (("edited", clock.edited_s), ("displayed", clock.shown_s)):
        if times:
            median, high, higher = 1000 * np.percentile(times, (50, 95, 99))
            yield (
                f"capture to {name}: median {median:.1f} ms, 95% {high:.1f} ms, 99% {higher:.1f} ms "
                f"({len(times)} frames)"
            )
