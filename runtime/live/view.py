"""The picture in the live window: result or comparison, fitted into its place, with what is written on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2

from aif.runtime.arrays import UInt8Array
from aif.runtime.live.controls import KEYS
from aif.runtime.live.drawing import ACCENT, ALARM, GREY, WHITE, draw_text, fit_into, text_width, wrapped
from aif.runtime.live.loop import LiveStats

# Stages as the video editor calls them, and in words that say what takes the time.
_STAGES = {
    "track": "follow faces",
    "align": "align",
    "encode": "encode",
    "decode": "decode",
    "composite": "blend",
}

Rows = Sequence[tuple[str, str]]


def place_both(area: UInt8Array, original: UInt8Array, result: UInt8Array) -> None:
    """Fit original and result side by side into an area, with their names."""
    middle = area.shape[1] // 2
    fit_into(area[:, : middle - 1], original)
    fit_into(area[:, middle + 1 :], result)
    area[:, middle - 1 : middle + 1] = 0
    for x, name in ((0, "original"), (middle + 1, "edited")):
        label(area[:, x:], name, 14, 14)


def _darken(area: UInt8Array, x: int, y: int, width: int, height: int) -> None:
    """Darken a rectangle, as far as it lies in the area."""
    part = area[max(0, y) : max(0, y + height), max(0, x) : max(0, x + width)]
    if part.size:
        part[:] = cv2.convertScaleAbs(part, alpha=0.28)


def label(area: UInt8Array, text: str, x: int, y: int, dot: bool = False) -> None:
    """A word or two on a dark ground, after a red dot where wanted."""
    _darken(area, x, y, text_width(text, 15) + 20 + 16 * dot, 30)
    if dot:
        cv2.circle(area, (x + 15, y + 15), 6, ALARM, -1, cv2.LINE_AA)
    draw_text(area, text, x + 10 + 16 * dot, y + 6, 15)


def banner(area: UInt8Array, text: str) -> None:
    """A message across the middle of the area."""
    lines = wrapped(text, 18, area.shape[1] - 80)
    height = 26 * len(lines) + 28
    top = max(0, (area.shape[0] - height) // 2)
    _darken(area, 0, 0, area.shape[1], area.shape[0])
    area[top : top + 3] = area[min(top + height, area.shape[0] - 3) : top + height + 3] = ALARM
    _centred(area, lines, top + 16, 18, 26)


def note(area: UInt8Array, text: str) -> None:
    """A message at the lower edge."""
    lines = wrapped(text, 15, area.shape[1] - 60)
    height, width = 22 * len(lines) + 16, max(text_width(line, 15) for line in lines) + 32
    top = area.shape[0] - height - 14
    _darken(area, (area.shape[1] - width) // 2, top, width, height)
    _centred(area, lines, top + 8, 15, 22)


def _centred(area: UInt8Array, lines: Sequence[str], top: int, size: int, step: int) -> None:
    for number, line in enumerate(lines):
        draw_text(area, line, area.shape[1] // 2, top + step * number, size, WHITE, "centre")


def table(area: UInt8Array, rows: Rows, middle: bool = False) -> None:
    """Two columns on a dark ground: in the upper right corner, or in the middle; smaller in small windows."""
    step = max(10, min(22, (area.shape[0] - 48) // len(rows)))
    size = max(7, round(0.64 * step))
    names, texts = (max(text_width(row[k], size) for row in rows) for k in (0, 1))
    width, height = names + texts + 48, step * len(rows) + 20
    x = (area.shape[1] - width) // 2 if middle else area.shape[1] - width - 14
    y = max(0, (area.shape[0] - height) // 2) if middle else 14
    for _ in range(1 + middle):
        _darken(area, x, y, width, height)
    at = x + (names + 32 if middle else width - 16)
    for number, (name, text) in enumerate(rows):
        top = y + 10 + step * number
        draw_text(area, name, x + 16, top, size, ACCENT if middle else GREY)
        draw_text(area, text, at, top, size, WHITE, "left" if middle else "right")


def help_rows() -> Rows:
    """Keys and what they do."""
    mouse = ("Mouse", "drag a slider; right button: as it is")
    return [*((key.label, key.meaning) for key in KEYS), mouse]


def figure_rows(stats: LiveStats, stage_ms: Mapping[str, float], draw_ms: float, faces: int) -> Rows:
    """Rates, latency and where it comes from: milliseconds by stage, and from the end of an edit to the
    display.
    """
    rows = [
        ("camera", f"{stats.captured_fps:.1f} frames/s"),
        ("edited", f"{stats.edited_fps:.1f} frames/s"),
        ("shown", f"{stats.shown_fps:.1f} frames/s"),
        ("overtaken", f"{stats.dropped}"),
        ("faces", f"{faces}"),
        ("latency", f"{stats.shown_ms:.0f} ms"),
        ("95% below", f"{stats.shown_p95_ms:.0f} ms"),
        ("  capture, wait", f"{stats.wait_ms:.0f} ms"),
    ]
    rows += [(f"  {word}", f"{stage_ms.get(stage, 0.0):.0f} ms") for stage, word in _STAGES.items()]
    return [*rows, ("  display", f"{draw_ms:.0f} ms")]
