"""OpenCV pictures fitted into a place, mirrored, and with readable text: Pillow's own font, smooth, each text
drawn once.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from aif.runtime.arrays import UInt8Array

Colour = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""

WHITE, GREY, DIM = (240, 238, 236), (176, 170, 164), (118, 112, 106)
ACCENT, SEEN, ALARM, GOOD = (72, 168, 255), (200, 190, 84), (72, 72, 232), (110, 200, 96)

FINER = 4
"""Texts are drawn so many times larger, and made smaller."""


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=1024)
def _mask(text: str, size: int) -> npt.NDArray[np.float32]:
    """How much each pixel is covered, 0 to 1; every text of a size is equally high."""
    font = _font(FINER * size)  # letters that stand on whole pixels stand unevenly
    width = max(1, math.ceil(font.getlength(text) / FINER) + 2)
    height = round(1.4 * size)
    image = Image.new("L", (FINER * width, FINER * height))
    ImageDraw.Draw(image).text((FINER, 0), text, fill=255, font=font)
    covered = np.asarray(image.resize((width, height), Image.Resampling.BOX), dtype=np.float32)
    return covered[:, :, None] / np.float32(255)


def text_width(text: str, size: int) -> int:
    """How wide a text is, in pixels."""
    return int(_mask(text, size).shape[1])


def shortened(text: str, size: int, width: int) -> str:
    """The text, cut with an ellipsis where it is wider than so many pixels."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "...", size) > width:
        text = text[:-1]
    return text.rstrip() + "..."


def wrapped(text: str, size: int, width: int) -> list[str]:
    """The text in lines of at most so many pixels, broken between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [shortened(line, size, width) for line in lines]


def draw_text(
    canvas: UInt8Array,
    text: str,
    x: int,
    y: int,
    size: int = 15,
    colour: Colour = WHITE,
    align: Literal["left", "right", "centre"] = "left",
) -> None:
    """Write a line into a uint8 (H, W, 3) BGR picture, x and y its edge (or middle) and top; what lies beyond
    is cut off.
    """
    mask = _mask(text, size)
    x -= {"left": 0, "right": mask.shape[1], "centre": mask.shape[1] // 2}[align]
    mask = mask[max(0, -y) :, max(0, -x) :]
    x, y = max(0, x), max(0, y)
    part = canvas[y : y + mask.shape[0], x : x + mask.shape[1]]
    mask = mask[: part.shape[0], : part.shape[1]]
    if part.size:
        part[:] = part + mask * (np.array(colour, dtype=np.float32) - part) + np.float32(0.5)


def fit_into(area_hwc_bgr: UInt8Array, picture_hwc_bgr: UInt8Array) -> None:
    """Draw a picture as large as it fits into the middle of an area, on black; the area is changed."""
    rows, columns = picture_hwc_bgr.shape[:2]
    scale = min(area_hwc_bgr.shape[0] / rows, area_hwc_bgr.shape[1] / columns)
    width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    left, top = (area_hwc_bgr.shape[1] - width) // 2, (area_hwc_bgr.shape[0] - height) // 2
    inner = area_hwc_bgr[top : top + height, left : left + width]
    if inner.shape != area_hwc_bgr.shape:
        area_hwc_bgr[:] = 0
    if scale == 1:
        inner[:] = picture_hwc_bgr
    else:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        cv2.resize(picture_hwc_bgr, (width, height), dst=inner, interpolation=how)


def fitted(image_hwc_bgr: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """The picture as large as it fits into (width, height), on black; itself where it has that size."""
    if image_hwc_bgr.shape[:2] == size[::-1]:
        return image_hwc_bgr
    area = np.empty((size[1], size[0], 3), dtype=np.uint8)
    fit_into(area, image_hwc_bgr)
    return area


def mirrored(image_hwc_bgr: UInt8Array) -> UInt8Array:
    """The picture as a mirror shows it."""
    return np.asarray(cv2.flip(image_hwc_bgr, 1), dtype=np.uint8)
