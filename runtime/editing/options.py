"""What is to be done to a face, as words of the command line: `Smiling=1`, `Eyeglasses=off`, `largest`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast, get_args

from aif.runtime.errors import ConfigError, UnknownAttributeError
from aif.runtime.faces.choice import FaceChoice

if TYPE_CHECKING:
    from aif.runtime.bundle.manifest import AttributeInfo, Manifest, Mode

_ON, _OFF = ("on", "yes", "true"), ("off", "no", "false")
_SYNTAX = (
    "Write NAME=VALUE: Smiling=1 (present), Smiling=0 (absent), Smiling=0.5, Smiling=on, Smiling=off; "
    "several with commas between them."
)


def parse_settings(texts: Iterable[str], attributes: Sequence[AttributeInfo], where: str) -> dict[str, float]:
    """Attribute to wanted value, from texts like `Smiling=0.5`, one setting each, or several with commas.

    A name alone, or with on, yes or true, means the value that shows the attribute plainly; off, no and false
    mean 0. `where` is what to call the bundle in an error.

    Raises:
        UnknownAttributeError: with the nearest names.
        ConfigError: no number, out of the attribute's range, or an attribute set twice.
    """
    values: dict[str, float] = {}
    for text in (each for several in texts for each in several.split(",")):
        name, equals, wanted = (part.strip() for part in text.partition("="))
        if not name:
            raise ConfigError(f"{text!r} names no attribute.", _SYNTAX)
        if name.isdecimal():  # Smiling=0,5
            raise ConfigError(
                f"{name!r} after a comma names no attribute.", "Decimals have a point: Smiling=0.5"
            )
        info = find_attribute(name, attributes, where)
        if info.name in values:
            raise ConfigError(f"{info.name} is set twice.", "Set each attribute once.")
        values[info.name] = _value(text, wanted, info) if equals else info.default_on
    return values


def find_attribute(name: str, attributes: Sequence[AttributeInfo], where: str) -> AttributeInfo:
    """The attribute of that name, in capitals or not; an UnknownAttributeError with the nearest names."""
    alike = [info for info in attributes if info.name.lower() == name.lower()]
    if not alike:
        raise UnknownAttributeError(name, [info.name for info in attributes], where)
    return next((info for info in alike if info.name == name), alike[0])


def _value(text: str, wanted: str, info: AttributeInfo) -> float:
    if wanted.lower() in _ON:
        return info.default_on
    if wanted.lower() in _OFF:
        return 0.0
    try:
        value = float(wanted)
    except ValueError:
        raise ConfigError(f"{text!r} has no value that aif understands.", _SYNTAX) from None
    from aif.runtime.editing.values import check_value

    check_value(info, value)
    return value


def sweep_values(info: AttributeInfo, steps: int, settings: Iterable[str]) -> tuple[float, ...]:
    """Evenly spaced values of one attribute over its range, at most -1 to 2.

    Raises:
        ConfigError: fewer than 2 steps or more than 50, or the attribute is also set to one value.
    """
    if info.name in settings:
        raise ConfigError(f"{info.name} cannot be both set and swept.", f"Leave out --set {info.name}.")
    if not 2 <= steps <= 50:
        raise ConfigError(f"A sweep has 2 to 50 steps, not {steps}.")
    low, high = max(-1.0, info.minimum), min(2.0, info.maximum)
    return tuple(round(low + (high - low) * i / (steps - 1), 4) for i in range(steps))


def parse_faces(text: str) -> FaceChoice:
    """Which faces: "all", "largest", or a number from the left, from 0 on; else a ConfigError."""
    if text in get_args(get_args(FaceChoice)[0]):
        return cast(FaceChoice, text)
    if text.isdecimal() and len(text) < 7:
        return int(text)
    raise ConfigError(
        f"{text[:40]!r} is no choice of faces.", "Known: all, largest, or a number from 0 on (from the left)."
    )


def modes_of(manifest: Manifest) -> tuple[Mode, ...]:
    """The ways in which a bundle's edits can be composed, the default first."""
    from aif.runtime.editing.editor import path_class

    return path_class(manifest).modes


def parse_mode(text: str | None, modes: Sequence[Mode], option: str = "--mode") -> Mode | None:
    """The mode of a name, None = the bundle's default; a ConfigError that says `option` where it is none."""
    if text is not None and text not in modes:
        raise ConfigError(
            f"{option} cannot be {text[:40]!r} with this bundle.", f"It composes by: {', '.join(modes)}."
        )
    return cast("Mode | None", text)


def describe(settings: Mapping[str, float]) -> str:
    """`Smiling 1, Eyeglasses 0.5`."""
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())
