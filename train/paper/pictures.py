"""Grids of edited faces: a row a face and system, a column a value of an attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.errors import DataError
from aif.train.evaluation.measure import EditingModel

TEXT, PAPER, INK = 0.42, 255, 40


@dataclass(frozen=True)
class Strip:
    """One system and what it makes of the faces: columns of float32 (N, 3, S, S) pictures in [0, 1]."""

    label: str
    columns: tuple[tuple[str, Float32Array], ...]


def edit_strip(model: EditingModel, crops: Float32Array, label: str, attributes: Sequence[str]) -> Strip:
    """Original, reconstruction, and each attribute off and on; crops float32 (N, 3, S, S) in [0, 1]."""
    encoding = model.encode(crops)
    columns = [("original", crops), ("reconstruction", model.decode(encoding, encoding.y).image)]
    for name in attributes:
        at = list(model.attributes).index(name)
        for word, value in (("off", 0.0), ("on", 1.0)):
            y = encoding.y.copy()
            y[:, at] = value
            columns.append((f"{name} {word}", model.decode(encoding, y).image))
    return Strip(label, tuple(columns))


def draw_strips(strips: Sequence[Strip], path: Path, side: int = 128) -> None:
    """Write the strips under each other as a PNG, each face `side` pixels wide, with headings.

    Raises:
        DataError: there is nothing to draw.
    """
    if not strips or not len(strips[0].columns[0][1]):
        raise DataError("There is no face to draw.")
    blocks = []
    for strip in strips:
        blocks.append(_words([strip.label], side * len(strip.columns), side))
        blocks.append(_words([name for name, _ in strip.columns], side * len(strip.columns), side))
        for face in range(len(strip.columns[0][1])):
            row = [_picture(pictures[face], side) for _, pictures in strip.columns]
            blocks.append(np.concatenate(row, axis=1))
    width = max(block.shape[1] for block in blocks)
    whole = np.concatenate([_widened(block, width) for block in blocks])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.partial.png")
    if not cv2.imwrite(str(partial), whole[:, :, ::-1]):
        raise DataError(f"{path} cannot be written.")
    partial.replace(path)


def _picture(image_chw: Float32Array, side: int) -> UInt8Array:
    image = (image_chw.transpose(1, 2, 0) * 255).round().clip(0, 255).astype(np.uint8)
    kind = cv2.INTER_AREA if image.shape[0] >= side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (side, side), interpolation=kind), dtype=np.uint8)


def _words(words: Sequence[str], width: int, side: int) -> UInt8Array:
    """A line of headings, one a column of `side` pixels; a single word may run on."""
    line = np.full((18, width, 3), PAPER, dtype=np.uint8)
    for place, word in enumerate(words):
        shown = word
        while len(words) > 1 and _length(shown) > side - 6 and len(shown) > 4:
            shown = f"{shown[:-3]}.."
        cv2.putText(
            line, shown, (place * side + 3, 13), cv2.FONT_HERSHEY_SIMPLEX, TEXT, (INK,) * 3, 1, cv2.LINE_AA
        )
    return line


def _length(word: str) -> int:
    return int(cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, TEXT, 1)[0][0])


def _widened(block: UInt8Array, width: int) -> UInt8Array:
    out = np.full((block.shape[0], width, 3), PAPER, dtype=np.uint8)
    out[:, : block.shape[1]] = block
    return out
