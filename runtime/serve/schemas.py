"""The service's answers as JSON, which are also their description in OpenAPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aif.runtime.editing.attributes import predicted
from aif.runtime.editing.editor import FaceAnalysis, FaceEdit
from aif.runtime.serve.edit import Edited
from aif.runtime.serve.errors import CODES


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Attribute(_Answer):
    """What can be edited: 0 = absent, 1 = present, beyond them = exaggerated."""

    name: str = Field(examples=["Smiling"])
    minimum: float = Field(examples=[-1.0])
    maximum: float = Field(examples=[2.0])
    default_on: float = Field(description="The value that shows it plainly.", examples=[1.0])
    group: str = Field(description="expression, face or hair: for menus.", examples=["expression"])
    takes_along: dict[str, float] = Field(
        description="What an edit moves with it, by which share, unless it is set, too.",
        examples=[{"Mouth_Slightly_Open": 0.76}],
    )
    excludes: tuple[str, ...] = Field(
        description="What becomes absent where this one becomes present, unless it is set, too.",
        examples=[[]],
    )


class BundleInfo(_Answer):
    """The model that edits."""

    name: str = Field(examples=["aif-128"])
    version: str
    image_size: int = Field(description="Side of a face crop in pixels.", examples=[128])
    precision: str = Field(examples=["fp32"])
    device: str = Field(description="Where the networks really run.", examples=["cpu"])


class Attributes(_Answer):
    """What `GET /attributes` tells."""

    bundle: BundleInfo
    attributes: list[Attribute]
    modes: list[str] = Field(examples=[["warp"]])
    default_mode: str = Field(examples=["warp"])


class Face(_Answer):
    """One face, as found and as the encoder sees it."""

    box: list[float] = Field(
        description="x, y, width, height in pixels.", examples=[[176.0, 63.0, 98.0, 98.0]]
    )
    score: float = Field(description="The detector's.", examples=[0.97])
    residual: float = Field(description="How far from a frontal face; 0 = frontal.", examples=[0.03])
    strength: float | None = Field(
        None, description="How strongly an edit shows: less than 1 for a face turned away.", examples=[1.0]
    )
    attributes: dict[str, float] = Field(
        description="Predicted values, 0 = absent, 1 = present.",
        examples=[{"Smiling": 0.99, "Eyeglasses": 0.01}],
    )


class Faces(_Answer):
    """What `POST /attributes` tells: the chosen faces, left to right."""

    width: int = Field(examples=[512])
    height: int = Field(examples=[512])
    faces: list[Face]


class Health(_Answer):
    """What `GET /health` tells."""

    status: str = Field(description="ok, or stopping", examples=["ok"])
    version: str
    bundle: str = Field(examples=["aif-128"])
    queue: int = Field(description="Requests that wait for a thread.", examples=[0])
    running: int = Field(description="Edits in work.", examples=[1])
    places: int = Field(description="Requests that there is room for.", examples=[18])


class Problem(_Answer):
    """What went wrong."""

    code: str = Field(json_schema_extra={"enum": list(CODES)}, examples=["no_face"])
    message: str = Field(examples=["No face was found."])
    fix: str | None = Field(examples=["Faces must look roughly at the camera ..."])


class Refusal(_Answer):
    """Every answer that is no success."""

    error: Problem


def faces_of(found: Edited) -> Faces:
    """The faces of a photo that was looked at or edited."""
    return Faces(width=found.size[0], height=found.size[1], faces=[_face(face) for face in found.faces])


def _face(face: FaceAnalysis | FaceEdit) -> Face:
    return Face(
        box=[round(float(value), 1) for value in face.detection.box_xywh],
        score=round(face.detection.score, 4),
        residual=round(face.residual, 4),
        strength=round(face.strength, 4) if isinstance(face, FaceEdit) else None,
        attributes={name: round(value, 4) for name, value in predicted(face).items()},
    )


def refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The refusals of an address for OpenAPI: by status, with an example for each code."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in sorted({CODES[code][0] for code in codes}):
        own = [code for code in codes if CODES[code][0] == status]
        examples = {
            code: {"value": {"error": {"code": code, "message": CODES[code][1], "fix": None}}} for code in own
        }
        described[status] = {
            "model": Refusal,
            "description": " ".join(f"`{code}`: {CODES[code][1]}" for code in own),
            "content": {"application/json": {"examples": examples}},
        }
    return described


def brief(faces: Sequence[FaceAnalysis | FaceEdit], most_bytes: int) -> list[dict[str, float]]:
    """Predicted values with two digits, of as many faces from the left as fit into a header."""
    values: list[dict[str, float]] = []
    room = most_bytes
    for face in faces:
        short = {name: round(value, 2) for name, value in predicted(face).items()}
        room -= sum(len(name) + 10 for name in short) + 4
        if room < 0:
            break
        values.append(short)
    return values
