"""The hair of people with each hair colour: the statistics that an edit moves a photo's hair towards."""

from __future__ import annotations

from collections.abc import Callable

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

_FIELDS = ("lightness", "red", "blue", "contrast")


def measure_hair(
    dataset: FaceDataset, seed: int, log: Callable[[str], None] = print, net: MatteNet | None = None
) -> dict[str, HairInfo]:
    """Colours by attribute: `on` of people labelled with this colour alone, `off` of those with another one.

    The hair is found by `net`, or the embedded bundle's network.
    """
    names = [name for name in HAIR_ATTRIBUTES if name in dataset.attributes]
    if not names:
        return {}
    net = net or MatteNet(Bundle.open())
    labels = dataset.labels[:, [dataset.attributes.index(name) for name in names]] > 0
    alone = labels.sum(axis=1) == 1
    rng = np.random.default_rng(seed)
    means: dict[str, npt.NDArray[np.float64]] = {}
    for column, name in enumerate(names):
        found = _colours(dataset, net, rng.permutation(np.flatnonzero(alone & labels[:, column])))
        if len(found) >= LEAST:
            means[name] = np.median(found, axis=0)
    log(f"hair colours of {', '.join(means) or 'nobody'}")
    if len(names) == 1 and means:  # without other colours to compare with: of those who have not this one
        found = _colours(dataset, net, rng.permutation(np.flatnonzero(~labels[:, 0])))
        others = {names[0]: np.median(found, axis=0)} if len(found) >= LEAST else {}
    else:
        rest = {name: [mean for other, mean in means.items() if other != name] for name in means}
        others = {name: np.mean(each, axis=0) for name, each in rest.items() if each}
    return {name: HairInfo(on=_colour(means[name]), off=_colour(others[name])) for name in others}


def _colours(
    dataset: FaceDataset, net: MatteNet, rows: npt.NDArray[np.int64]
) -> list[tuple[float, float, float, float]]:
    """The statistics `_FIELDS` of some faces whose hair is seen."""
    found = []
    for _, crop in readable_crops(dataset, SIDE, rows[:MOST].tolist()):
        image = np.ascontiguousarray(crop.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
        colour = hair_colour(image, net.matte(image[None])[0])
        if colour is not None:
            found.append((colour.lightness, colour.red, colour.blue, colour.contrast))
    return found


def _colour(values: npt.NDArray[np.float64]) -> HairColour:
    return HairColour(**{name: round(float(value), 4) for name, value in zip(_FIELDS, values, strict=True)})
