"""`aif-edit --webcam`: a camera, stream or file edited live, in a window or without one."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import cv2

from aif.cli.live.choices import LiveChoices, live_threads
from aif.cli.live.outlets import Outlets
from aif.cli.live.report import LiveReport, say
from aif.runtime.editing.editor import Editor
from aif.runtime.live.camera import CameraFormat, open_camera
from aif.runtime.live.edit import LiveEdit
from aif.runtime.live.loop import LiveSession
from aif.runtime.live.state import Controls
from aif.runtime.signals import stop_on_signals


def run_live(editor: Editor, choices: LiveChoices, settings: Mapping[str, float]) -> int:
    """Edit until the user has had enough; the exit code.

    Raises:
        AifError: the camera cannot be opened at first, a place cannot be written, there is no display.
    """
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        stack.enter_context(_shared_cores(live_threads(choices.threads)))
        edit = stack.enter_context(
            contextlib.closing(
                LiveEdit(editor, settings, choices.mode, choices.faces, live_threads(choices.threads))
            )
        )
        outlets = Outlets(
            choices.record,
            choices.wanted.fps or 30.0,
            mirror=choices.mirror,
            quality=choices.quality,
            codec=choices.codec,
            hardware=choices.hardware,
        )
        stack.callback(outlets.close)
        session = stack.enter_context(
            LiveSession(lambda: open_camera(choices.source, choices.wanted), edit, outlets.each)
        )
        say(_granted(session, choices.wanted))
        if choices.record is not None:
            say(outlets.start_recording())
        if choices.virtual_camera:
            say(_open_virtual_camera(outlets, session))
        report = LiveReport(session, outlets, choices.timings)
        limit = None if choices.seconds is None else time.monotonic() + choices.seconds

        def over() -> bool:
            report.now_and_then()
            return stop.is_set() or (limit is not None and time.monotonic() >= limit)

        if choices.headless:
            code = _headless(session, outlets, over, choices.timings)
        else:
            controls = Controls(
                editor.model.manifest.attributes, settings, compare=choices.compare, mirror=choices.mirror
            )
            code = _in_window(session, edit, controls, outlets, over, report)
        report.finish()
    return code


@contextlib.contextmanager
def _shared_cores(threads: int) -> Iterator[None]:
    """Settings for many threads on few cores, taken back at the end.

    OpenCV's calls in all threads share one pool of workers: with one a core, the detector would take them all
    from the view. And Python lets a thread wait for another for 5 ms where 1 ms will do.
    """
    before, interval = cv2.getNumThreads(), sys.getswitchinterval()
    cv2.setNumThreads(threads)
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
        sys.setswitchinterval(interval)


def _headless(session: LiveSession, outlets: Outlets, over: Callable[[], bool], timings: bool) -> int:
    alone = outlets.recorder is not None and outlets.camera is None and not timings
    while not over():
        session.next(0.2)
        for line in outlets.faults():
            say(line)
            if alone:
                return 1
        if session.ended:
            session.next(0)
            say(session.status)
            break
    return 0


def _in_window(
    session: LiveSession,
    edit: LiveEdit,
    controls: Controls,
    outlets: Outlets,
    over: Callable[[], bool],
    report: LiveReport,
) -> int:
    from aif.cli.live.viewer import Viewer

    viewer = Viewer(session, edit, controls, outlets)
    report.shown = viewer.latencies
    try:
        viewer.run(over)
    finally:
        viewer.close()
    if session.ended:
        session.next(0)
        say(session.status)
    return 0


def _open_virtual_camera(outlets: Outlets, session: LiveSession) -> str:
    from aif.runtime.live.virtual_camera import VirtualCamera

    form = session.granted
    outlets.camera = VirtualCamera(form.width or 1280, form.height or 720, form.fps or 30.0)
    return f"Sending to the virtual camera {outlets.camera.device}"


def _granted(session: LiveSession, wanted: CameraFormat) -> str:
    """What the camera gives, and what it was asked for where that is something else."""
    granted = session.granted
    same = all(
        mine is None or mine == theirs
        for mine, theirs in zip(vars(wanted).values(), vars(granted).values(), strict=True)
    )
    return session.status + ("" if same else f" (asked for: {wanted})")
