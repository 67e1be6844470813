"""The live window at work: frames in, keys and mouse in, pictures out."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import AifError
from aif.runtime.live import view
from aif.runtime.live.controls import Action, Controls, action_for
from aif.runtime.live.drawing import fit_into, mirrored
from aif.runtime.live.edit import LiveEdit
from aif.runtime.live.loop import LiveFrame, LiveSession
from aif.runtime.live.outlets import Outlets
from aif.runtime.live.panel import WIDTH, Panel
from aif.runtime.live.window import DRAG, PRESS, RIGHT, Window
from aif.runtime.video.editor import VideoFrameResult

# The picture's part of the window is at least so large at the start, and the window at most, in pixels; the
# user may make it smaller or larger.
LEAST, MOST = (640, 480), (1600, 900)

# Without a word from the camera for so many seconds, that is said.
SILENT_S = 2.0

NOTE_S = 4.0
"""How long a message stays."""


class Viewer:
    """Shows a session in a window until the user closes it, or the session ends."""

    def __init__(self, session: LiveSession, edit: LiveEdit, controls: Controls, outlets: Outlets) -> None:
        """Open the window, large enough for the camera's picture and the sliders; errors as `Window`."""
        self._session, self._edit, self._controls, self._outlets = session, edit, controls, outlets
        width, height = session.granted.width or 1280, session.granted.height or 720
        size = min(max(width, LEAST[0]) + WIDTH, MOST[0]), min(max(height, LEAST[1]), MOST[1])
        self._window = Window("aif", size)
        self._panel = Panel(controls, size[1])
        self._canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
        self._frame: LiveFrame | None = None
        self._seen: dict[str, float] | None = None
        self._faces = 0
        self._stage_ms: dict[str, float] = {}
        self._draw_ms = 0.0
        self._note, self._note_until = "H shows the keys", time.monotonic() + NOTE_S
        self._dragged: int | None = None
        self._done = False

    def run(self, stop: Callable[[], bool]) -> None:
        """Show frames until the window is closed, the session ends or `stop` says so. Raises what the edit
        raised.
        """
        drawn = 0.0
        while not (self._done or stop() or self._session.ended or self._window.closed):
            frame = self._session.next(0.01)
            if frame is not None:
                self._take(frame)
            for line in self._outlets.news():
                self._say(line)
            changed = self._obey()
            now = time.monotonic()
            if frame is not None or changed or now - drawn > 0.1:
                drawn = now
                self._window.show(self._draw())
            self._key(self._window.poll())
            if frame is not None:
                self._session.shown(frame)
                passed = time.monotonic() - frame.edited_s
                self._draw_ms += 0.1 * (1000 * passed - self._draw_ms)

    def _say(self, text: str) -> None:
        self._note, self._note_until = text, time.monotonic() + NOTE_S

    def close(self) -> None:
        """Close the window."""
        self._window.close()

    def _draw(self) -> UInt8Array:
        """The inside of the window as it should be now: uint8 (H, W, 3) BGR, used again for the next one."""
        width, height = self._window.size
        if self._canvas.shape != (height, width, 3):
            self._canvas = np.zeros((height, width, 3), dtype=np.uint8)
        if self._panel.height != height:
            self._panel = Panel(self._controls, height)
        left = self._panel_width()
        if left:
            status, connected = self._session.status, self._session.connected
            self._canvas[:, :left] = self._panel.draw(self._seen, status, connected)
        area = self._canvas[:, left:]
        if self._frame is None:
            area[:] = 0
        elif self._controls.compare:
            view.place_both(area, *self._pictures(self._frame))
        else:
            fit_into(area, self._pictures(self._frame)[1])
        self._draw_words(area)
        return self._canvas

    def _panel_width(self) -> int:
        return WIDTH if self._controls.panel and self._canvas.shape[1] > WIDTH + 64 else 0

    def _draw_words(self, area: UInt8Array) -> None:
        controls, session = self._controls, self._session
        recorder = self._outlets.recorder
        x, y = 14, 52 if controls.compare else 14
        if recorder is not None:
            seconds = int(recorder.seconds)
            view.label(area, f"{seconds // 60}:{seconds % 60:02d}", x, y, dot=True)
            x += 90
        if not controls.on:
            view.label(area, "edits off", x, y)
        if controls.figures:
            rows = view.figure_rows(session.stats(), self._stage_ms, self._draw_ms, self._faces)
            view.table(area, rows)
        if not session.connected and not session.ended:
            view.banner(area, session.status)
        elif self._frame is None or session.silence_s > SILENT_S:
            view.banner(area, f"No picture from the camera for {session.silence_s:.0f} s.")
        if controls.help:
            view.table(area, view.help_rows(), middle=True)
        if time.monotonic() < self._note_until:
            view.note(area, self._note)

    def _pictures(self, frame: LiveFrame) -> tuple[UInt8Array, UInt8Array]:
        """Original and result, mirrored where wanted."""
        if self._controls.mirror:
            return mirrored(frame.original), mirrored(frame.image)
        return frame.original, frame.image

    def _take(self, frame: LiveFrame) -> None:
        """A new frame: what it says of faces and times."""
        self._frame = frame
        result = frame.details
        assert isinstance(result, VideoFrameResult)  # as LiveEdit gives it
        faces = [face for face in result.faces if face.id in result.y]
        largest = max(faces, key=lambda face: float(face.box[2]), default=None)
        self._seen = None if largest is None else result.y[largest.id]
        self._faces = len(result.faces)
        for stage, seconds in result.timings.items():
            before = self._stage_ms.get(stage, 1000 * seconds)
            self._stage_ms[stage] = before + 0.1 * (1000 * seconds - before)

    def _obey(self) -> bool:
        """Do what the mouse asks; whether anything changed."""
        events = self._window.mouse()
        for event, x, y in events:
            row = self._panel.row_at(x, y) if self._panel_width() else None
            if event in {PRESS, DRAG}:
                self._dragged = row if event == PRESS else self._dragged
                if self._dragged is not None:
                    self._controls.drag(self._dragged, self._panel.value_at(self._dragged, x))
            else:
                self._dragged = None
                if event == RIGHT and row is not None:
                    self._controls.release(row)
        if events:
            self._apply()
        return bool(events)

    def _key(self, code: int) -> None:
        action = action_for(code)
        if action is Action.QUIT:
            self._done = True
        elif action is Action.RECORD:
            self._toggle_recording()
        elif action is Action.SCREENSHOT:
            self._screenshot()
        elif action is not None:
            self._controls.apply(action, self._seen)
            if action is Action.FULL_SCREEN:
                self._window.set_full_screen(self._controls.full_screen)
            self._apply()

    def _apply(self) -> None:
        """Let the editing thread know."""
        self._edit.on = self._controls.on
        self._outlets.mirror = self._controls.mirror
        self._edit.set_edits(self._controls.values)

    def _toggle_recording(self) -> None:
        try:
            self._say(self._outlets.stop_recording() or self._outlets.start_recording())
        except AifError as error:
            self._say(error.message)

    def _screenshot(self) -> None:
        if self._frame is None:
            self._say("There is no picture yet.")
            return
        original, result = self._pictures(self._frame)
        self._say(self._outlets.save(np.hstack([original, result]) if self._controls.compare else result))
