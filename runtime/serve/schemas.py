"""The service's answers as JSON, which are also their description in OpenAPI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from aif.runtime.editing.attributes import predicted
from aif.runtime.editing.editor import FaceAnalysis, FaceEdit
from aif.runtime.serve.errors import CODES
from aif.runtime.serve.photo import Edited


class Attribute(BaseModel):
    """What can be edited: 0 = absent, 1 = present, beyond them = exaggerated."""

    name: str = Field(examples=["Smiling"])
    minimum: float
    maximum: float
    default_on: float = Field(description="The value that shows it plainly.")
    group: str = Field(description="expression, face or hair: for menus.")
    takes_along: dict[str, float] = Field(
        description="What an edit moves with it, by which share, unless it is set, too.",
        examples=[{"Mouth_Slightly_Open": 0.76}],
    )
    takes_along_off: dict[str, float] = Field(description="Other shares, for edits towards 0.")
    excludes: tuple[str, ...] = Field(
        description="What becomes absent where this one becomes present, unless it is set, too."
    )


class BundleInfo(BaseModel):
    """The model that edits."""

    name: str = Field(examples=["aif-128"])
    version: str
    image_size: int = Field(description="Side of a face crop in pixels.")
    precision: str = Field(examples=["fp32"])
    device: str = Field(description="Where the networks really run.", examples=["cpu"])


class Attributes(BaseModel):
    """The answer of `GET /attributes`."""

    bundle: BundleInfo
    attributes: list[Attribute]
    modes: list[str] = Field(examples=[["warp"]])
    default_mode: str = Field(examples=["warp"])


class Face(BaseModel):
    """One face, as found and as the encoder sees it."""

    box: list[float] = Field(description="x, y, width, height in pixels.")
    score: float = Field(description="The detector's.")
    residual: float = Field(description="How far from a frontal face; 0 = frontal.")
    attributes: dict[str, float] = Field(
        description="Predicted values, 0 = absent, 1 = present.",
        examples=[{"Smiling": 0.99, "Goatee": 0.01}],
    )


class PhotoFaces(BaseModel):
    """The answer of `POST /attributes`: the picture's size, and the chosen faces, left to right."""

    width: int
    height: int
    faces: list[Face]


class Health(BaseModel):
    """The answer of `GET /health`."""

    status: str = Field(description="ok, or stopping")
    version: str
    bundle: str
    queue: int = Field(description="Requests that wait for a thread.")
    running: int = Field(description="Edits in work.")
    places: int = Field(description="Requests that there is room for.")


class Problem(BaseModel):
    """What went wrong."""

    code: str = Field(json_schema_extra={"enum": list(CODES)})
    message: str
    fix: str | None


class Refusal(BaseModel):
    """Every answer that is no success."""

    error: Problem


REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Refusal, "description": "The request's fault."},
    "5XX": {"model": Refusal, "description": "The service's, or it has no place or no time."},
}


def faces_of(found: Edited) -> PhotoFaces:
    """The faces of a photo that was looked at."""
    faces = [
        Face(
            box=[round(float(value), 1) for value in face.detection.box_xywh],
            score=round(face.detection.score, 4),
            residual=round(face.residual, 4),
            attributes={name: round(value, 4) for name, value in predicted(face).items()},
        )
        for face in found.faces
    ]
    return PhotoFaces(width=found.size[0], height=found.size[1], faces=faces)


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
