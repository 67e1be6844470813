"""Contact sheets with captions: original beside edited, and one attribute through its range."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.editor import Editor, FaceAnalysis
from aif.runtime.image.picture import Picture

# Longest side of one panel: a sheet is for looking at, and two 100-megapixel panels help nobody.
MAX_PANEL = 4096
# Side of one panel of a sweep, and how much more than the face crop it shows.
SWEEP_PANEL, SWEEP_VIEW = 256, 1.3

_PAPER, _INK = (255, 255, 255), (40, 40, 40)


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet, uint8 (H, W, 3) BGR, and the caption above it."""

    pixels_hwc_bgr: UInt8Array
    caption: str


def compare_sheet(original_hwc_bgr: UInt8Array, edited_hwc_bgr: UInt8Array, caption: str) -> UInt8Array:
    """Original and edited picture side by side, uint8 (H', W', 3) BGR; each at most `MAX_PANEL` px long."""
    panels = [Panel(_limited(original_hwc_bgr), "original"), Panel(_limited(edited_hwc_bgr), caption)]
    return lay_out([panels])


def lay_out(rows: Sequence[Sequence[Panel]]) -> UInt8Array:
    """Panels in rows on white paper, captions above, all cells of one size: uint8 (H, W, 3) BGR."""
    width = max(panel.pixels_hwc_bgr.shape[1] for row in rows for panel in row)
    height = max(panel.pixels_hwc_bgr.shape[0] for row in rows for panel in row)
    font_size = min(max(round(min(width, height) / 24), 14), 72)
    font = ImageFont.load_default(font_size)
    # Small pictures get cells wide enough for "original", so that no caption runs into its neighbour.
    cell = max(width, round(font.getlength("original")) + 2)
    gap, bar = font_size // 2, round(font_size * 1.5)
    columns = max(len(row) for row in rows)
    sheet = Image.new(
        "RGB", (columns * (cell + gap) + gap, len(rows) * (bar + height + gap) + gap // 2), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    for r, row in enumerate(rows):
        for c, panel in enumerate(row):
            left, top = gap + c * (cell + gap), gap // 2 + r * (bar + height + gap)
            text = _fitted(panel.caption, font, cell)
            draw.text((left + cell / 2, top + bar / 2 - gap / 4), text, _INK, font, anchor="mm")
    pixels = cv2.cvtColor(np.asarray(sheet), cv2.COLOR_RGB2BGR)
    for r, row in enumerate(rows):
        for c, panel in enumerate(row):
            high, wide = panel.pixels_hwc_bgr.shape[:2]
            left = gap + c * (cell + gap) + (cell - wide) // 2
            top = gap // 2 + r * (bar + height + gap) + bar
            pixels[top : top + high, left : left + wide] = panel.pixels_hwc_bgr
    return np.asarray(pixels, dtype=np.uint8)


def face_view(
    frame_hwc_bgr: UInt8Array, matrix: Float32Array, crop_size: int, side: int = SWEEP_PANEL
) -> UInt8Array:
    """A face and its surroundings, not turned: uint8 (side, side, 3) BGR.

    `matrix` (2, 3) leads from the frame to a crop of `crop_size` px. Near the frame's edge the view is moved
    or shrunk to stay inside.
    """
    height, width = frame_hwc_bgr.shape[:2]
    inverse = cv2.invertAffineTransform(np.asarray(matrix, dtype=np.float64))
    middle = (crop_size - 1) / 2
    x, y = inverse @ (middle, middle, 1.0)
    wanted = round(float(np.hypot(inverse[0, 0], inverse[1, 0])) * crop_size * SWEEP_VIEW)
    extent = max(1, min(wanted, height, width))
    left = min(max(round(float(x) - extent / 2), 0), width - extent)
    top = min(max(round(float(y) - extent / 2), 0), height - extent)
    view = frame_hwc_bgr[top : top + extent, left : left + extent]
    method = cv2.INTER_AREA if extent > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(view, (side, side), interpolation=method), dtype=np.uint8)


def sweep_rows(
    editor: Editor,
    picture: Picture,
    faces: Sequence[FaceAnalysis],
    sweep: tuple[str, Sequence[float]],
    settings: Mapping[str, float],
    mode: Mode | None = None,
    timed: Callable[[Mapping[str, float]], None] = lambda seconds: None,
) -> list[list[Panel]]:
    """A row of panels a face: the original, then the attribute of `sweep` at each of its values.

    `settings` is what else is changed; `timed` is told the seconds by stage of each edit. Errors are those of
    `Editor.edit`.
    """
    name, values = sweep
    frame, size = picture.pixels_hwc_bgr, editor.model.image_size
    many = len(faces) > 1
    rows = [
        [Panel(face_view(frame, face.matrix, size), f"face {number}" if many else "original")]
        for number, face in enumerate(faces)
    ]
    detections = [face.detection for face in faces]
    for value in values:
        result = editor.edit(frame, {**settings, name: value}, mode, "all", detections)
        timed(result.timings)
        shown = picture.settle(result.image_hwc_bgr)
        for row, face in zip(rows, faces, strict=True):
            row.append(Panel(face_view(shown, face.matrix, size), f"{name} {value:g}"))
    return rows


def _limited(pixels: UInt8Array) -> UInt8Array:
    longest = max(pixels.shape[:2])
    if longest <= MAX_PANEL:
        return pixels
    size = [max(1, round(side * MAX_PANEL / longest)) for side in (pixels.shape[1], pixels.shape[0])]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text.rstrip(' ,')}..."
