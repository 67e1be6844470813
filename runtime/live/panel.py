"""The sliders of the live window: one an attribute, with the value that the model sees beside it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import cv2
import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.live.controls import Controls
from aif.runtime.live.drawing import (
    ACCENT,
    ALARM,
    DIM,
    GOOD,
    GREY,
    SEEN,
    WHITE,
    draw_text,
    shortened,
    text_width,
)

WIDTH = 276
_LEFT, _RIGHT = 18, WIDTH - 72
"""Where a slider's track begins and ends."""
_HEAD, _FOOT, _ROW, _LEAST_ROW = 84, 34, 54, 40
_BACK, _CHOSEN, _TRACK = (30, 28, 26), (48, 44, 40), (84, 78, 72)

# What the model sees changes with every frame; numbers that change less often can be read, and cost less.
AGAIN_S = 0.15


class Panel:
    """Draws the sliders, and says what a mouse points at."""

    def __init__(self, controls: Controls, height: int) -> None:
        """Prepare for a window of this height; rows that do not fit scroll with the chosen one."""
        self._controls, self.height = controls, height
        count, room = len(controls.attributes), height - _HEAD - _FOOT
        self._row = min(_ROW, max(_LEAST_ROW, room // count))
        self._rows = max(1, min(count, room // self._row))
        self._key: object = None
        self._drawn_s = 0.0
        self._picture = np.zeros((height, WIDTH, 3), dtype=np.uint8)

    @property
    def first(self) -> int:
        """The attribute in the uppermost row."""
        last = len(self._controls.attributes) - self._rows
        return max(0, min(self._controls.chosen - self._rows // 2, last))

    def row_at(self, x: int, y: int) -> int | None:
        """The attribute at a place of the panel; None between, beside and beyond the rows."""
        row = (y - _HEAD) // self._row
        return self.first + row if 0 <= x < WIDTH and 0 <= row < self._rows else None

    def value_at(self, index: int, x: int) -> float:
        """The value that a place along an attribute's slider means; beyond its ends, those of its range."""
        info = self._controls.attributes[index]
        share = min(max((x - _LEFT) / (_RIGHT - _LEFT), 0.0), 1.0)
        return info.minimum + share * (info.maximum - info.minimum)

    def slider(self, index: int, value: float) -> tuple[int, int]:
        """Where in the panel an attribute's slider stands for a value: x, y in pixels."""
        y = _HEAD + (index - self.first + 1) * self._row - 12
        return _place(self._controls.attributes[index], value), y

    def draw(self, seen: Mapping[str, float] | None, status: str, connected: bool) -> UInt8Array:
        """The panel as a picture, uint8 (height, WIDTH, 3) BGR, not to be changed.

        `seen`: the values that the model predicts, None = no face in sight; `status`: a line on the camera.
        """
        picture, controls = self._picture, self._controls
        now = time.monotonic()
        key = tuple(controls.values.items()), controls.chosen, controls.on, status, connected
        if key == self._key and now - self._drawn_s < AGAIN_S:
            return picture
        self._key, self._drawn_s = key, now
        picture[:] = _BACK
        cv2.circle(picture, (_LEFT + 4, 22), 5, GOOD if connected else ALARM, -1, cv2.LINE_AA)
        name, _, form = status.partition(": ")
        draw_text(picture, shortened(name, 15, WIDTH - 52), _LEFT + 18, 12, 15)
        draw_text(picture, shortened(form, 12, WIDTH - 52), _LEFT + 18, 33, 12, GREY)
        state, colour = ("edits on", ACCENT) if controls.on else ("edits off: original", ALARM)
        draw_text(picture, state, _LEFT, 60, 13, colour)
        draw_text(picture, "model sees", WIDTH - 16, 60, 12, SEEN, "right")
        end = self.first + self._rows
        for index in range(self.first, end):
            self._draw_row(index, (seen or {}).get(controls.attributes[index].name))
        if self._rows < len(controls.attributes):
            text = f"{self.first + 1} to {end} of {len(controls.attributes)}"
            draw_text(picture, text, WIDTH - 16, self.height - 26, 12, DIM, "right")
        draw_text(picture, "H  help", _LEFT, self.height - 26, 12, GREY)
        return picture

    def _draw_row(self, index: int, seen: float | None) -> None:
        picture, info = self._picture, self._controls.attributes[index]
        top = _HEAD + (index - self.first) * self._row
        wanted = self._controls.values.get(info.name)
        chosen = index == self._controls.chosen
        if chosen:
            cv2.rectangle(picture, (6, top), (WIDTH - 7, top + self._row - 1), _CHOSEN, -1)
            cv2.rectangle(picture, (6, top), (8, top + self._row - 1), ACCENT, -1)
        shown = "as it is" if wanted is None else f"{wanted:.2f}"
        room = _RIGHT - _LEFT - text_width(shown, 14) - 8
        text_top = top + max(0, self._row - 40) // 3
        title = shortened(info.name.replace("_", " "), 14, room)
        draw_text(picture, title, _LEFT, text_top, 14, WHITE if chosen or wanted is not None else GREY)
        draw_text(picture, shown, _RIGHT, text_top, 14, DIM if wanted is None else ACCENT, "right")
        _, y = self.slider(index, 0)
        cv2.line(picture, (_LEFT, y), (_RIGHT, y), _TRACK, 3, cv2.LINE_AA)
        for x in (_place(info, mark) for mark in (0.0, 1.0) if info.minimum <= mark <= info.maximum):
            cv2.line(picture, (x, y - 5), (x, y + 5), _TRACK, 1, cv2.LINE_AA)
        if wanted is not None:
            cv2.line(picture, (_place(info, 0.0), y), (_place(info, wanted), y), ACCENT, 3, cv2.LINE_AA)
        if seen is not None:
            x = _place(info, seen)
            triangle = np.array([[x - 5, y + 11], [x + 5, y + 11], [x, y + 4]], dtype=np.int32)
            cv2.fillConvexPoly(picture, triangle, SEEN, cv2.LINE_AA)
        if wanted is not None:
            cv2.circle(picture, (_place(info, wanted), y), 7, ACCENT, -1, cv2.LINE_AA)
            cv2.circle(picture, (_place(info, wanted), y), 7, WHITE, 1, cv2.LINE_AA)
        number = "-" if seen is None else f"{seen:.2f}"
        draw_text(picture, number, WIDTH - 16, y - 10, 15, DIM if seen is None else SEEN, "right")


def _place(info: AttributeInfo, value: float) -> int:
    share = (value - info.minimum) / (info.maximum - info.minimum)
    return round(_LEFT + min(max(share, 0.0), 1.0) * (_RIGHT - _LEFT))
