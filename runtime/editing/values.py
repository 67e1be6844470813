"""Attribute values: which are allowed, which columns of y they belong to, and what to decode with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, SupportsFloat

import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.manifest import AttributeInfo, Manifest, SourceValues
from aif.runtime.errors import ConfigError, UnknownAttributeError


def check_value(info: AttributeInfo, value: float) -> None:
    """Raise ConfigError unless an attribute may take a value: a number within its range, ends included."""
    if isinstance(value, str) or not isinstance(value, SupportsFloat):
        raise ConfigError(
            f"{info.name} = {value!r} is no number.", f"Give it as one: {{{info.name!r}: 1.0}}."
        )
    if not (math.isfinite(value) and info.minimum <= value <= info.maximum):
        raise ConfigError(
            f"{info.name}={value:g} is out of range.",
            f"{info.name} takes {info.minimum:g} to {info.maximum:g}: 0 = absent, 1 = present, "
            "beyond them = exaggerated.",
        )


def value_columns(
    edits: Mapping[str, float], attributes: Sequence[AttributeInfo], where: str = "this bundle"
) -> dict[int, float]:
    """The wanted values by the columns of y, once all names and values are found to be good; `where` is what
    to call the bundle in an error.

    Raises:
        UnknownAttributeError: there is no such attribute; the nearest names are given.
        ConfigError: a value out of its range.
    """
    if not isinstance(edits, Mapping):
        raise ConfigError(
            f"Edits must be a mapping of attributes to values, not {type(edits).__name__}.",
            'Write {"Smiling": 1.0}; {} changes nothing.',
        )
    column_of = {info.name: column for column, info in enumerate(attributes)}
    for name, value in edits.items():
        if name not in column_of:
            raise UnknownAttributeError(name, column_of, where)
        check_value(attributes[column_of[name]], value)
    return {column_of[name]: value for name, value in edits.items()}


class Touched(NamedTuple):
    """What an edit changes: the face, the colour of its hair."""

    face: bool
    hair: bool


def touched(manifest: Manifest, edits: Mapping[int, float]) -> Touched:
    """What wanted values, by columns, and what they take along change."""
    infos = manifest.attributes
    names = {name for column in edits for name in (infos[column].name, *infos[column].others)}
    face = any(info.group != "hair" for info in infos if info.name in names)
    return Touched(face, not names.isdisjoint(manifest.hair))


def decode_values(
    y_source: Float32Array,
    edits: Mapping[int, float],
    attributes: Sequence[AttributeInfo],
    source_values: SourceValues = "predicted",
) -> tuple[Float32Array, Float32Array]:
    """The attribute values to decode with: (source, target), each float32 (N, A).

    A wanted value v of an attribute that the face has to the degree u becomes u + s (v - u): s is the
    attribute's `on` where v > u and 1 - `off` where v < u, as calibrated. What an edit takes along goes the
    same way, by its share, within 0 and 1; what it excludes goes to 0 as the edit goes to 1. An attribute
    with a wanted value of its own is neither taken along nor excluded.

    `y_source` (N, A) is what the encoder predicts, in [0, 1]; "rounded" takes it as 0 or 1, which is what
    some decoders saw in training.
    """
    source = np.array(y_source, dtype=np.float32)
    if source_values == "rounded":
        source = (source >= 0.5).astype(np.float32)
    wanted = wanted_values(source, edits, attributes)
    target = source.copy()
    for column, info in enumerate(attributes):
        change = wanted[:, column] - source[:, column]
        target[:, column] += np.where(change > 0, info.on, 1 - info.off).astype(np.float32) * change
    return source, target


def wanted_values(
    source: Float32Array, edits: Mapping[int, float], attributes: Sequence[AttributeInfo]
) -> Float32Array:
    """What every attribute should be, (N, A), for a person to read: before calibration."""
    names = {info.name: column for column, info in enumerate(attributes)}
    wanted = np.array(source, dtype=np.float32)
    for column, value in edits.items():
        info = attributes[column]
        for name, share in info.takes_along.items():
            other = names[name]
            if other not in edits:
                change = np.float32(value) - source[:, column]
                shares = np.where(change < 0, info.takes_along_off.get(name, share), share)
                moved = wanted[:, other] + shares.astype(np.float32) * change
                wanted[:, other] = moved.clip(0, 1)
        for name in info.excludes:
            if names[name] not in edits:
                wanted[:, names[name]] *= np.float32(1 - min(max(value, 0.0), 1.0))
    for column, value in edits.items():
        wanted[:, column] = value
    return wanted
