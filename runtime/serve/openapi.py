"""What OpenAPI says beyond the types: the form with a field an attribute, the files, the refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aif.runtime.bundle.manifest import Manifest, Mode
from aif.runtime.image.io import FORMATS
from aif.runtime.serve.schemas import refusals
from aif.runtime.serve.upload import PHOTO

ADDRESSES = "POST /edit, POST /attributes, GET /attributes, /health, /ready, /metrics, /openapi.json"

DESCRIPTION = (
    "Edits attributes of the faces in photos and leaves everything else alone. A photo is kept in memory "
    "only, as long as its request lasts. Every refusal is JSON of one shape: `error` with `code`, `message`, "
    "`fix`."
)

_FORM = ("bad_request", "slow_upload", "too_large", "too_many_pixels", "unsupported_picture", "not_a_form")
_PHOTO = ("no_photo", "damaged_picture", "no_face", "unknown_attribute", "bad_value")
_ENDS = ("internal", "queue_full", "stopping", "timeout")

_HEADERS = {
    "X-Aif-Faces": {
        "description": "How many faces were edited.",
        "schema": {"type": "integer"},
        "example": 1,
    },
    "X-Aif-Predicted": {
        "description": "JSON: the attribute values of each face before the edit, left to right, of as many "
        "faces as fit into 3.5 KB.",
        "schema": {"type": "string"},
        "example": '[{"Smiling": 0.99, "Eyeglasses": 0.01}]',
    },
    "X-Aif-Notes": {
        "description": "JSON: sentences on what the edit takes along, and what contradicts; left out where "
        "there is nothing to say.",
        "schema": {"type": "string"},
        "example": '["Smiling takes Mouth_Slightly_Open along by 0.76; set it yourself to keep it."]',
    },
    "Server-Timing": {
        "description": "Milliseconds by stage.",
        "schema": {"type": "string"},
        "example": "wait;dur=0.1, read;dur=4.1, detect;dur=21.0",
    },
}
_FILES = {f"image/{name.lower()}": {"schema": {"type": "string", "format": "binary"}} for name in FORMATS}

EDIT: dict[str, Any] = {
    "summary": "Edit a photo",
    "responses": {
        200: {"description": "The edited photo, as a file.", "content": _FILES, "headers": _HEADERS},
        **refusals(*_FORM, *_PHOTO, "cannot_write", *_ENDS),
    },
}
LOOK: dict[str, Any] = {
    "summary": "Predict the attributes of the faces in a photo",
    "response_model_exclude_none": True,
    "responses": refusals(*_FORM, *_PHOTO, *_ENDS),
}
_TEXT = {
    "text/plain": {
        "schema": {"type": "string"},
        "example": 'aif_requests_total{endpoint="edit",outcome="ok"} 1.0',
    }
}
PAGES: dict[str, dict[str, Any]] = {
    "attributes": {"summary": "List what can be edited"},
    "health": {"summary": "Whether the process lives"},
    "ready": {
        "summary": "Whether a photo would be taken now",
        "responses": refusals("queue_full", "stopping"),
    },
    "metrics": {
        "summary": "Figures for Prometheus",
        "responses": {200: {"description": "Prometheus' text format.", "content": _TEXT}},
    },
}


def describe_form(manifest: Manifest, modes: Sequence[Mode], edits: bool = True) -> dict[str, Any]:
    """The body of a request with a photo.

    Args:
        manifest: names the attributes.
        modes: how its edits can be composed.
        edits: False for requests that only look.
    """
    example: dict[str, Any] = {PHOTO: "(a file)", "faces": "all"}
    fields: dict[str, Any] = {
        PHOTO: {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, TIFF or BMP."},
        "faces": {
            "type": "string",
            "pattern": "^(all|largest|[0-9]{1,6})$",
            "default": "all",
            "description": "Which faces; a number counts from the left, from 0 on.",
        },
    }
    if edits:
        for info in manifest.attributes:
            number = {"type": "number", "minimum": info.minimum, "maximum": info.maximum}
            fields[info.name] = {
                "anyOf": [number, {"type": "string", "enum": ["on", "off"]}],
                "description": "0 = absent, 1 = present, beyond = exaggerated; left out = as it is.",
            }
        first = manifest.attributes[0]
        example |= {first.name: first.default_on, "format": "jpeg"}
        fields |= {
            "edits": {
                "type": "string",
                "contentMediaType": "application/json",
                "description": "The same as one JSON object, in place of fields or beside them.",
                "examples": [f'{{"{first.name}": {first.default_on:g}}}'],
            },
            "mode": {
                "type": "string",
                "enum": list(modes),
                "default": manifest.compositing,
                "description": "How to compose.",
            },
            "format": {
                "type": "string",
                "enum": [name.lower() for name in FORMATS],
                "description": "Of the answer; left out = as the photo.",
            },
            "quality": {
                "type": "integer",
                "minimum": 1,
                "maximum": 100,
                "description": "Of JPEG and WebP; left out = as the photo was coded.",
            },
        }
    schema = {"type": "object", "required": [PHOTO], "properties": fields, "additionalProperties": False}
    return {
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": schema, "example": example}},
        }
    }
