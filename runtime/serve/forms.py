"""The forms of POST /edit and POST /attributes, as models that FastAPI reads, checks and describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from fastapi import Request, UploadFile
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    WithJsonSchema,
    create_model,
    model_validator,
)

from aif.runtime.bundle.manifest import AttributeInfo, Manifest, Mode
from aif.runtime.editing.editor import FaceChoice
from aif.runtime.editing.options import parse_faces, parse_mode, parse_settings
from aif.runtime.errors import ConfigError, UnknownAttributeError
from aif.runtime.image.kinds import FORMATS, Format, format_for


@dataclass(frozen=True)
class EditOptions:
    """What to do with a photo; None: the bundle's own mode, the photo's own format and quality."""

    settings: dict[str, float] = field(default_factory=dict)
    faces: FaceChoice = "all"
    mode: Mode | None = None
    kind: Format | None = None
    quality: int | None = None


def _parse_format(text: str) -> Format:
    try:
        return format_for(text)
    except ConfigError:
        known = ", ".join(name.lower() for name in FORMATS)
        raise ConfigError(f"There is no format {text[:40]!r}.", f"Known: {known}.") from None


async def each_once(request: Request) -> None:
    """Refuse a form that has a field twice: of two values one would be taken silently."""
    seen: set[str] = set()
    for name, _ in (await request.form()).multi_items():
        if name.lower() in seen:
            raise ConfigError(f"The form has the field {name[:40]!r} twice.", "Send every field once.")
        seen.add(name.lower())


class PhotoForm(BaseModel):
    """A photo, and which of its faces to look at."""

    model_config = ConfigDict(extra="forbid")

    photo: Annotated[
        UploadFile,
        WithJsonSchema(
            {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, HEIC, AVIF, TIFF or BMP."}
        ),
    ]
    faces: Annotated[
        FaceChoice,
        BeforeValidator(parse_faces),
        WithJsonSchema({"type": "string", "pattern": "^(all|largest|[0-9]{1,6})$"}),
    ] = Field("all", description="Which faces; a number counts from the left, from 0 on.")

    @model_validator(mode="before")
    @classmethod
    def _fields_are_known(cls, fields: dict[str, Any]) -> dict[str, Any]:
        known = [info.alias or name for name, info in cls.model_fields.items()]
        alike = {name.lower(): name for name in known}
        for name in fields:
            if name.lower() not in alike:
                raise UnknownAttributeError(name[:40], known, "this form")
        return {name if name in known else alike[name.lower()]: value for name, value in fields.items()}


class EditForm(PhotoForm):
    """A photo, and what to change; `edit_form` adds a field for each attribute and `mode`."""

    edits: Json[dict[str, bool | float | str]] | None = Field(
        None, description='The same as one JSON object, in place of fields or beside them: {"Smiling": 1}.'
    )
    mode: Any = None
    format: Annotated[
        Format | None,
        BeforeValidator(_parse_format),
        WithJsonSchema({"type": "string", "enum": [name.lower() for name in FORMATS]}),
    ] = Field(None, description="Of the answer; left out = as the photo.")
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="Of lossy formats; left out = as the photo was coded."
    )

    def options(self, attributes: Sequence[AttributeInfo], where: str) -> EditOptions:
        """What to do.

        Raises:
            UnknownAttributeError: in `edits`; with the nearest names.
            ConfigError: nothing to change, an attribute set twice, or to a value that makes no sense.
        """
        given = [(info.name, getattr(self, f"attribute_{i}")) for i, info in enumerate(attributes)]
        texts = [f"{name}={value}" for name, value in given if value is not None]
        texts += [f"{name}={value}" for name, value in (self.edits or {}).items()]
        settings = parse_settings(texts, attributes, where)
        if not settings:
            raise ConfigError("There is nothing to do.", "Say what to change: -F Smiling=1")
        return EditOptions(settings, self.faces, self.mode, self.format, self.quality)


def edit_form(manifest: Manifest, modes: Sequence[Mode]) -> type[EditForm]:
    """The form of a bundle: its attributes and modes are fields and values."""
    fields: dict[str, Any] = {}
    for index, info in enumerate(manifest.attributes):
        number = {"type": "number", "minimum": info.minimum, "maximum": info.maximum}
        schema = {"anyOf": [number, {"type": "string", "enum": ["on", "off"]}]}
        about = "0 = absent, 1 = present, beyond = exaggerated; left out = as it is."
        # Named apart from the other fields, whatever the attribute is called.
        fields[f"attribute_{index}"] = (
            Annotated[str | None, WithJsonSchema(schema)],
            Field(None, alias=info.name, description=about, examples=[info.default_on]),
        )
    fields["mode"] = (
        Annotated[
            Mode | None,
            BeforeValidator(partial(parse_mode, modes=modes, option="mode")),
            WithJsonSchema({"type": "string", "enum": list(modes), "default": manifest.compositing}),
        ],
        Field(None, description="How to compose."),
    )
    return create_model("EditForm", __base__=EditForm, __doc__="A photo, and what to change.", **fields)
