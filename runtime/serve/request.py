"""What a form asks for, checked before any pixel is read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aif.runtime.bundle.manifest import AttributeInfo, Mode
from aif.runtime.editing.editor import FaceChoice
from aif.runtime.editing.options import parse_faces, parse_mode, parse_settings
from aif.runtime.errors import ConfigError, ImageError, UnknownAttributeError
from aif.runtime.image.io import FORMATS, Format, format_for

OPTIONS = ("edits", "faces", "mode", "format", "quality")
"""Fields that are no attributes."""


@dataclass(frozen=True)
class Wish:
    """What to do with a photo.

    Attributes:
        settings: attribute to wanted value.
        faces: which faces.
        mode: how to blend; None = the bundle's default.
        kind: format of the answer; None = the photo's own.
        quality: of JPEG and WebP; None = as the photo was coded.
    """

    settings: dict[str, float] = field(default_factory=dict)
    faces: FaceChoice = "all"
    mode: Mode | None = None
    kind: Format | None = None
    quality: int | None = None


def parse_wish(
    fields: Iterable[tuple[str, str]], attributes: Sequence[AttributeInfo], modes: Sequence[Mode], where: str
) -> Wish:
    """Options by their names, every other field an attribute: `Smiling=1`, `Eyeglasses=off`.

    Args:
        fields: of the form, without the photo.
        attributes: what the bundle can edit, with ranges.
        modes: how its edits can be composed.
        where: what to call the bundle in an error.

    Raises:
        UnknownAttributeError: neither an option nor an attribute; tells the nearest names.
        ConfigError: a value that makes no sense, or a field twice.
    """
    names = [info.name for info in attributes]
    options: dict[str, str] = {}
    texts: list[str] = []
    for name, value in fields:
        if name in OPTIONS:
            if name in options:
                raise ConfigError(f"The field {name!r} comes twice.", "Send it once.")
            options[name] = value
        elif name in names:
            texts.append(f"{name}={value}" if value else name)
        else:
            raise UnknownAttributeError(name, [*names, *OPTIONS], where)
    texts += _listed(options.get("edits", "{}"))
    return Wish(
        settings=parse_settings(texts, attributes, where),
        faces=parse_faces(options.get("faces", "all")),
        mode=parse_mode(options.get("mode"), modes, "mode"),
        kind=_kind(options.get("format")),
        quality=_quality(options.get("quality")),
    )


def _listed(text: str) -> list[str]:
    """The settings in a JSON object, as `parse_settings` reads them."""
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"The field 'edits' is no JSON: {error}.", 'Write {"Smiling": 1}') from error
    if not isinstance(values, dict):
        raise ConfigError("The field 'edits' is no JSON object.", 'Write {"Smiling": 1}')
    texts = []
    for name, value in values.items():
        if isinstance(value, bool):
            texts.append(f"{name}={'on' if value else 'off'}")
        elif isinstance(value, int | float | str):
            texts.append(f"{name}={value}")
        else:
            raise ConfigError(f"{name} has no value that aif understands.", 'Write {"Smiling": 1}')
    return texts


def _kind(text: str | None) -> Format | None:
    try:
        return None if text is None else format_for(text)
    except ImageError as error:
        known = ", ".join(name.lower() for name in FORMATS)
        raise ConfigError(f"There is no format {text!r}.", f"Known: {known}.") from error


def _quality(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isdecimal() and len(text) < 4 and 1 <= int(text) <= 100):
        raise ConfigError(f"quality cannot be {text[:40]!r}.", "It is a whole number from 1 to 100.")
    return int(text)


def check_edits(wish: Wish) -> None:
    """Raise ConfigError where nothing is to be changed."""
    if not wish.settings:
        raise ConfigError("There is nothing to do.", "Say what to change: -F Smiling=1")


def check_look(wish: Wish) -> None:
    """Raise ConfigError where more is asked for than looking at faces."""
    if wish != Wish(faces=wish.faces):
        raise ConfigError(
            "Nothing is edited here.", "Send only the photo and, if wanted, faces; edit at /edit."
        )
