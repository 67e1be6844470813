"""What a bundle says of itself: names, sizes, graph files with hashes, and where the weights came from."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from aif.runtime.align import TEMPLATE_128
from aif.runtime.errors import BundleError

# Raised whenever a field is added, dropped or changes its meaning.
SCHEMA_VERSION: Literal[2] = 2

MANIFEST_NAME = "manifest.json"

Mode = Literal["delta", "replace", "hybrid"]
SourceValues = Literal["predicted", "rounded"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Point = tuple[float, float]


def check_member_name(name: str) -> str:
    """Return `name` when it is a plain relative path inside a bundle, with forward slashes.

    Raises:
        ValueError: the path is absolute, climbs out, names a drive, or has an empty or odd part.
    """
    parts = name.split("/")
    bad = any(part in ("", ".", "..") for part in parts)
    if bad or any(c in '\\:*?"<>|' or ord(c) < 32 for c in name) or len(name) > 240:
        raise ValueError(f"the path {name!r} leaves the bundle or is no plain relative path")
    return name


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileInfo(_Frozen):
    """A file of the bundle: its path inside and the SHA-256 of its bytes (64 lower-case hex digits)."""

    file: str
    sha256: Sha256

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        check_member_name(self.file)
        return self


class GraphFile(FileInfo):
    """One ONNX graph."""


class GraphPair(_Frozen):
    """Encoder and decoder of one precision."""

    encoder: GraphFile
    decoder: GraphFile


class LandmarkInfo(FileInfo):
    """The landmark network's graph; `input_size` is the side of its square crop in pixels."""

    input_size: Annotated[int, Field(ge=16, le=512)]


class AttributeInfo(_Frozen):
    """One column of y.

    `minimum` and `maximum` bound the values that the decoder still turns into a face (0 = absent, 1 =
    present; beyond them the edit is exaggerated). `default_on` is the value that shows the attribute
    plainly.
    """

    name: Name
    minimum: float = -1.0
    maximum: float = 2.0
    default_on: float = 1.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not (self.minimum <= 0 and self.maximum >= 1):
            raise ValueError(f"the range of {self.name} must hold 0 and 1")
        if not self.minimum <= self.default_on <= self.maximum:
            raise ValueError(f"default_on of {self.name} lies outside its range")
        return self


class Provenance(_Frozen):
    """Where the weights came from. `metrics` are measured figures, name to value; None means unknown."""

    dataset: str
    dataset_fingerprint: str
    preset: str
    steps: Annotated[int, Field(ge=0)]
    faces_seen: Annotated[int, Field(ge=0)]
    seed: int | None = None
    weights_licence: str
    metrics: dict[str, float] = {}


class FaceSet(_Frozen):
    """Faces that something was measured on. `drawn`: they are drawings, which says little of photographs."""

    dataset: str
    dataset_fingerprint: str
    faces: Annotated[int, Field(ge=1)]
    drawn: bool


class Variant(_Frozen):
    """How the graphs of one precision were made from the FP32 ones, and what they gave away for it.

    `method` says how; `float_layers` were left in FP32, as part/layer. `calibrated_on` are the faces that the
    ranges of an INT8 graph come from, None for other precisions. `gate` holds the figures of the comparison
    with FP32 on the faces `gated_on` (z, features, image: relative errors; y_mean, y_max: change of y;
    verdicts: share of the verdicts of the evaluator `evaluator` that change, where one was given), and
    `limits` what was allowed. `speedup` is the time of FP32 over this precision's for a face, encoder and
    decoder, on one thread of `processor`. `warnings` are for people.
    """

    method: str
    float_layers: tuple[str, ...] = ()
    calibrated_on: FaceSet | None = None
    gated_on: FaceSet
    gate: dict[str, float]
    limits: dict[str, float]
    evaluator: str | None = None
    speedup: Annotated[float, Field(gt=0)]
    processor: str
    warnings: tuple[str, ...] = ()


class Manifest(_Frozen):
    """The contents of `manifest.json`; also stands in each graph's metadata (there without `graphs`).

    `template` is the five landmarks in a 128 px crop. `features` names the further tensors that go from
    encoder to decoder. `graphs` maps a precision ("fp32", "fp16", "int8") to its graphs. `compositing` is
    the default mode. `source_values` says which y the decoder gets for an attribute nobody asked for: the
    encoder's prediction, or that prediction rounded to 0 or 1. `passes_through` says that the decoder changes
    the image, handed as feature_0, only where y differs from y as read, handed as feature_1. `parity` is the
    largest error of the graphs against the trained network by precision and batch size (z and features
    relative to their size). `variants` tells of every precision that was made from FP32; schema 1 had none.
    """

    schema_version: Literal[1, 2] = 2
    name: Name
    version: Name
    image_size: Annotated[int, Field(ge=16, le=1024)]
    latent_size: Annotated[int, Field(ge=1, le=65536)]
    template: tuple[Point, Point, Point, Point, Point] = (
        (46.0, 62.0),
        (82.0, 62.0),
        (64.0, 84.0),
        (48.8, 100.6),
        (79.2, 100.6),
    )
    attributes: Annotated[tuple[AttributeInfo, ...], Field(min_length=1)]
    features: tuple[Name, ...] = ()
    graphs: dict[str, GraphPair] = {}
    landmarks: LandmarkInfo | None = None
    opset: Annotated[int, Field(ge=1)]
    compositing: Mode = "delta"
    source_values: SourceValues = "predicted"
    passes_through: bool = False
    provenance: Provenance
    parity: dict[str, dict[int, float]] = {}
    variants: dict[str, Variant] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) != len(names):
            raise ValueError("an attribute is named twice")
        if self.features != tuple(f"feature_{k}" for k in range(len(self.features))):
            raise ValueError("features must be named feature_0, feature_1, ... in this order")
        if not set(self.variants) <= set(self.graphs):
            raise ValueError("variants tells of a precision that has no graphs")
        if not np.allclose(self.template, TEMPLATE_128, rtol=0, atol=1e-3):
            raise ValueError("the model was trained on another landmark template than this program aligns to")
        return self

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The columns of y, in order."""
        return tuple(attribute.name for attribute in self.attributes)

    def files(self) -> list[FileInfo]:
        """Every file that the manifest vouches for."""
        found: list[FileInfo] = []
        for pair in self.graphs.values():
            found += [pair.encoder, pair.decoder]
        return found if self.landmarks is None else [*found, self.landmarks]

    def to_json(self) -> str:
        """The manifest as indented JSON, ending in a newline."""
        return self.model_dump_json(indent=2) + "\n"


def parse_manifest(text: bytes | str, where: str) -> Manifest:
    """Read a manifest; the schema's version is looked at before anything else.

    Args:
        text: JSON.
        where: what to call the bundle in an error.

    Raises:
        BundleError: the JSON is damaged, of a newer schema, or says something impossible.
    """
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{where}: {MANIFEST_NAME} is damaged ({error}).", "Copy or export it again."
        ) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleError(
            f"{where}: {MANIFEST_NAME} has no schema version, so this is not a bundle of aif.",
            "Make one with aif-export.",
        )
    if version > SCHEMA_VERSION:
        raise BundleError(
            f"{where} was made by a newer aif (schema {version}; this one reads up to {SCHEMA_VERSION}).",
            "Update with: pip install -U aif",
        )
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or MANIFEST_NAME
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise BundleError(
            f"{where}: {MANIFEST_NAME} is not valid at {place}: {reason}.", "Copy or export the bundle again."
        ) from error
