"""Readable text on OpenCV pictures: Pillow's own font, smooth, each text drawn once."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

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
