"""Grids of edited faces: a row a face and system, a column a value of an attribute."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from aif.runtime.arrays import Float32Array
from aif.runtime.files import replacing
from aif.train.evaluation.measure import EditingModel

# Letters beside a picture.
LABEL_WIDTH = 20


@dataclass(frozen=True)
class Strip:
    """One system and its edits: columns of float32 (N, 3, S, S) pictures in [0, 1] under their names."""

    label: str
    columns: dict[str, Float32Array]


def edit_strip(model: EditingModel, crops: Float32Array, label: str, attributes: Sequence[str]) -> Strip:
    """Original, reconstruction, and each attribute off and on; crops float32 (N, 3, S, S) in [0, 1]."""
    encoding = model.encode(crops)
    columns = {"original": crops, "reconstruction": model.decode(encoding, encoding.y).image}
    for name in attributes:
        at = list(model.attributes).index(name)
        for word, value in (("off", 0.0), ("on", 1.0)):
            y = encoding.y.copy()
            y[:, at] = value
            columns[f"{name} {word}"] = model.decode(encoding, y).image
    return Strip(label, columns)


def draw_strips(strips: Sequence[Strip], path: Path) -> None:
    """Write the strips under each other as a PNG with headings."""
    rows = [(s.label, list(row)) for s in strips for row in zip(*s.columns.values(), strict=True)]
    heads = list(strips[0].columns)
    figure = Figure(figsize=(1.3 * len(heads), 1.3 * len(rows)), dpi=100, layout="constrained")
    grid = figure.subplots(len(rows), len(heads), squeeze=False)
    for axes, head in zip(grid[0], heads, strict=True):
        axes.set_title(head, fontsize=7)
    for axes_row, (label, pictures) in zip(grid, rows, strict=True):
        axes_row[0].set_ylabel(textwrap.fill(label, LABEL_WIDTH), fontsize=6)
        for axes, picture in zip(axes_row, pictures, strict=True):
            axes.imshow(picture.transpose(1, 2, 0).clip(0, 1))
            axes.set(xticks=[], yticks=[])
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
