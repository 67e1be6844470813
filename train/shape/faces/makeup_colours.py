"""Make-up as people wear it: the colours that an edit moves lips, lashes and lids towards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from aif.runtime.bundle.attributes import AttributeInfo, MakeupInfo, MakeupPlace
from aif.runtime.editing.shape.makeup import makeup_colours
from aif.train.shape.faces.known import LIPSTICK
from aif.train.shape.faces.textures import Textures

MAKEUP_ATTRIBUTES: dict[str, tuple[MakeupPlace, ...]] = {
    "Heavy_Makeup": ("lips", "line", "lids"),
    **dict.fromkeys(LIPSTICK, ("lips",)),
}
"""What is put where."""

PLAINLY = 0.1
"""The share of those labelled so whose make-up is plain to see; most wear hardly any."""

# Faces that are measured, at the most, and those with and without that are needed for a median.
MOST, LEAST = 6_000, 50


def with_makeup(
    infos: Sequence[AttributeInfo], faces: Textures, seed: int, log: Callable[[str], None] = print
) -> tuple[AttributeInfo, ...]:
    """The attributes; those that are make-up with its colours in these faces: medians of those in whom it is
    plainest, and of those without."""
    columns = {info.name: k for k, info in enumerate(infos) if info.name in MAKEUP_ATTRIBUTES}
    if not columns:
        return tuple(infos)
    rows = np.sort(np.random.default_rng(seed).permutation(len(faces))[:MOST])
    found = [makeup_colours(_floats(faces.images[row]), faces.frame) for row in rows.tolist()]
    made = list(infos)
    for name, column in columns.items():
        wears = faces.labels[rows, column] > 0
        if min(wears.sum(), (~wears).sum()) < LEAST:
            log(f"{name} gets no colours of make-up: fewer than {LEAST} faces have it, or have it not")
            continue
        on, off = {}, {}
        for place in MAKEUP_ATTRIBUTES[name]:
            colours = np.array([each[place] for each in found], dtype=np.float64)
            on[place], off[place] = plain(colours[wears], colours[~wears])
        made[column] = infos[column].model_copy(update={"makeup": MakeupInfo(on=on, off=off)})
        log(f"colours of {name}: {', '.join(on)}")
    return tuple(made)


def plain(
    wearing: npt.NDArray[np.float64], without: npt.NDArray[np.float64]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The colours (log R, G, B) of a place of people (n, 3) in whom make-up is plainest, and of people
    without."""
    off = np.median(without, axis=0)
    along = wearing @ (wearing.mean(axis=0) - without.mean(axis=0))
    on = np.median(wearing[along >= np.quantile(along, 1 - PLAINLY)], axis=0)
    return _rounded(on), _rounded(off)


def _rounded(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 3) for value in values)
    return red, green, blue


def _floats(image_hwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(image_hwc.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
