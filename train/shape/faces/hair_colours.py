"""The hair of people with each hair colour: the statistics that an edit moves a photo's hair towards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import HairColour, HairInfo
from aif.runtime.editing.shape.hair import SIDE, hair_colour
from aif.runtime.faces.matte import MatteNet
from aif.train.data.base import FaceDataset
from aif.train.data.readable import readable_crops

HAIR_ATTRIBUTES = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")

# Faces of a colour that are measured, at the most, and those needed for a mean that can be trusted.
MOST, LEAST = 400, 20

PLAINLY = 0.5
"""The share of those labelled with a colour in whom it is plain to see."""

# Added to the variances within colours, so that one that hardly varies does not decide.
TRACE = 1e-4

Statistics = npt.NDArray[np.float64]
"""Lightness, red, blue and contrast of the hair of people, a row each."""

_FIELDS = ("lightness", "red", "blue", "contrast")


def measure_hair(
    dataset: FaceDataset, seed: int, log: Callable[[str], None] = print, net: MatteNet | None = None
) -> dict[str, HairInfo]:
    """Colours by attribute: `on` of people labelled with this colour alone, in whom it is plain to see, `off`
    of those with another one.

    The hair is found by `net`, or the embedded bundle's network.
    """
    names = [name for name in HAIR_ATTRIBUTES if name in dataset.attributes]
    if not names:
        return {}
    net = net or MatteNet(Bundle.open())
    labels = dataset.labels[:, [dataset.attributes.index(name) for name in names]] > 0
    alone = labels.sum(axis=1) == 1
    rng = np.random.default_rng(seed)
    found = {
        name: _colours(dataset, net, rng.permutation(np.flatnonzero(alone & labels[:, column])))
        for column, name in enumerate(names)
    }
    found = {name: colours for name, colours in found.items() if len(colours) >= LEAST}
    log(f"hair colours of {', '.join(found) or 'nobody'}")
    others = {name: [colours for other, colours in found.items() if other != name] for name in found}
    if len(names) == 1 and found:  # without other colours to compare with: of those who have not this one
        without = _colours(dataset, net, rng.permutation(np.flatnonzero(~labels[:, 0])))
        others = {names[0]: [without] if len(without) >= LEAST else []}
    return {
        name: HairInfo(
            on=_colour(plainest(found[name], rest)),
            off=_colour(np.mean([np.median(colours, axis=0) for colours in rest], axis=0)),
        )
        for name, rest in others.items()
        if rest
    }


def plainest(colours: Statistics, others: Sequence[Statistics]) -> Statistics:
    """The medians (4,) of those people of a colour (n, 4) in whom it is plainest: least like the people of
    the other colours (m, 4 each), by Fisher's linear discriminant.

    The median of all would be between colours: fair hair goes by blond, and brown hair by black.
    """
    within = np.mean([np.cov(each.T) for each in (colours, *others)], axis=0)
    away = colours.mean(axis=0) - np.mean([each.mean(axis=0) for each in others], axis=0)
    along = colours @ np.linalg.solve(within + np.eye(len(within)) * TRACE, away)
    return np.asarray(np.median(colours[along >= np.quantile(along, 1 - PLAINLY)], axis=0))


def _colours(dataset: FaceDataset, net: MatteNet, rows: npt.NDArray[np.int64]) -> Statistics:
    """The statistics `_FIELDS` of some faces whose hair is seen, (n, 4)."""
    found = []
    for _, crop in readable_crops(dataset, SIDE, rows[:MOST].tolist()):
        image = np.ascontiguousarray(crop.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
        colour = hair_colour(image, net.matte(image[None])[0])
        if colour is not None:
            found.append((colour.lightness, colour.red, colour.blue, colour.contrast))
    return np.array(found, dtype=np.float64).reshape(-1, len(_FIELDS))


def _colour(values: Statistics) -> HairColour:
    return HairColour(**{name: round(float(value), 4) for name, value in zip(_FIELDS, values, strict=True)})
