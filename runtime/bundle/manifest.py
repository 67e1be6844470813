"""What a bundle says of itself: names, sizes, graph files with hashes, and where the weights came from."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, StringConstraints, ValidationError, model_validator

from aif.runtime.bundle.attributes import AttributeInfo, Frozen, HairColour, HairInfo, Name
from aif.runtime.bundle.provenance import FaceSet, Provenance, Variant
from aif.runtime.errors import BundleError
from aif.runtime.geometry.align import TEMPLATE_128
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.points import COUNT

__all__ = [
    "MANIFEST_NAME",
    "SCHEMA_VERSION",
    "AttributeInfo",
    "FaceSet",
    "FileInfo",
    "GraphFile",
    "GraphPair",
    "HairColour",
    "HairInfo",
    "LandmarkInfo",
    "Manifest",
    "MatteInfo",
    "Mode",
    "Provenance",
    "Sha256",
    "ShapeInfo",
    "SourceValues",
    "Variant",
    "check_member_name",
    "parse_manifest",
]

# Raised whenever a field is added, dropped or changes its meaning.
SCHEMA_VERSION: Literal[3] = 3

MANIFEST_NAME = "manifest.json"

Mode = Literal["warp", "delta", "replace"]
FrameName = Literal["similarity", "shape"]
SourceValues = Literal["predicted", "rounded"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Point = tuple[float, float]

# Coordinates of a mean shape are written with so many decimals: a ten-thousandth of a pixel.
DECIMALS = 6


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


class FileInfo(Frozen):
    """A file of the bundle: its path inside and the SHA-256 of its bytes (64 lower-case hex digits)."""

    file: str
    sha256: Sha256

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        check_member_name(self.file)
        return self


class GraphFile(FileInfo):
    """One ONNX graph."""


class GraphPair(Frozen):
    """Encoder and decoder of one precision."""

    encoder: GraphFile
    decoder: GraphFile


class LandmarkInfo(FileInfo):
    """The network of dense landmarks; `input_size` is the side of its square crop in pixels."""

    input_size: Annotated[int, Field(ge=16, le=512)]


class MatteInfo(FileInfo):
    """The network that finds the hair; `input_size` is the side of its aligned crop in pixels."""

    input_size: Annotated[int, Field(ge=16, le=1024)]


class ShapeInfo(Frozen):
    """The texture frame: 221 points of the mean shape in units of the crop's side, triangles over them."""

    mean: Annotated[tuple[Point, ...], Field(min_length=COUNT, max_length=COUNT)]
    triangles: Annotated[tuple[tuple[int, int, int], ...], Field(min_length=1, max_length=4096)]

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """What a manifest says of a frame; coordinates are rounded to 6 decimals."""
        mean = tuple((round(float(x), DECIMALS), round(float(y), DECIMALS)) for x, y in frame.mean)
        return cls(mean=mean, triangles=tuple((int(a), int(b), int(c)) for a, b, c in frame.triangles))

    def frame(self) -> Frame:
        """The frame as arrays.

        Raises:
            ValueError: the triangles name vertices that are not there.
        """
        return Frame(np.array(self.mean, dtype=np.float32), np.array(self.triangles, dtype=np.int32))


class Manifest(Frozen):
    """The contents of `manifest.json`; also stands in each graph's metadata (there without files).

    `template` is the five landmarks in a 128 px crop. `frame` says what the networks see: the similarity
    crop, or textures on the mean shape of `shape` together with landmarks. `features` names the further
    tensors that go from encoder to decoder. `graphs` maps a precision ("fp32", "fp16", "int8") to its graphs.
    `landmarks`, `matte` and `detector` are the networks that find dense landmarks, hair and faces.
    `compositing` is the default mode. `source_values` says which y the decoder gets for an attribute nobody
    asked for: the encoder's prediction, or that prediction rounded to 0 or 1. `hair` has the colours of hair
    by attribute. `parity` is the largest error of the graphs against the trained network by precision and
    batch size (z and features relative to their size, landmarks in units of the crop's side). `variants`
    tells of every precision that was made from FP32.
    """

    schema_version: Literal[3] = 3
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
    frame: FrameName = "similarity"
    attributes: Annotated[tuple[AttributeInfo, ...], Field(min_length=1)]
    features: tuple[Name, ...] = ()
    graphs: dict[str, GraphPair] = Field(default_factory=dict)
    landmarks: LandmarkInfo | None = None
    matte: MatteInfo | None = None
    detector: GraphFile | None = None
    opset: Annotated[int, Field(ge=1)]
    compositing: Mode = "delta"
    source_values: SourceValues = "predicted"
    hair: dict[Name, HairInfo] = Field(default_factory=dict)
    provenance: Provenance
    parity: dict[str, dict[int, float]] = Field(default_factory=dict)
    variants: dict[str, Variant] = Field(default_factory=dict)
    shape: ShapeInfo | None = None  # last, for it is long

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) != len(names):
            raise ValueError("an attribute is named twice")
        named = [*self.hair, *(other for each in self.attributes for other in sorted(each.others))]
        unknown = [name for name in named if name not in names]
        if unknown:
            raise ValueError(f"{unknown[0]} is no attribute of the bundle")
        if self.features != tuple(f"feature_{k}" for k in range(len(self.features))):
            raise ValueError("features must be named feature_0, feature_1, ... in this order")
        if not set(self.variants) <= set(self.graphs):
            raise ValueError("variants tells of a precision that has no graphs")
        if not np.allclose(self.template, TEMPLATE_128, rtol=0, atol=1e-3):
            raise ValueError("the model was trained on another landmark template than this program aligns to")
        self._check_frame()
        return self

    def _check_frame(self) -> None:
        """Raise ValueError unless all fits the frame; builds the frame's arrays."""
        if self.frame == "similarity":
            if self.shape is not None:
                raise ValueError("only the frame 'shape' has a mean shape")
            if self.compositing == "warp":
                raise ValueError("without landmarks nothing can be warped: compositing is delta or replace")
            return
        if self.shape is None:
            raise ValueError("the frame 'shape' needs a mean shape")
        if self.compositing != "warp":
            raise ValueError("edits in the frame 'shape' are composited by warp")
        if self.features or self.source_values != "predicted":
            raise ValueError("models in the frame 'shape' have no features, and take the values as predicted")
        if self.graphs and self.landmarks is None:
            raise ValueError("the frame 'shape' needs a landmark network")
        _ = self.face_frame

    @cached_property
    def face_frame(self) -> Frame | None:
        """The texture frame, made once; None for models that see the similarity crop."""
        return None if self.shape is None else self.shape.frame()

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The columns of y, in order."""
        return tuple(attribute.name for attribute in self.attributes)

    def files(self) -> list[FileInfo]:
        """Every file that the manifest vouches for."""
        found: list[FileInfo] = []
        for pair in self.graphs.values():
            found += [pair.encoder, pair.decoder]
        return found + [info for info in (self.landmarks, self.matte, self.detector) if info is not None]

    def without_files(self) -> Manifest:
        """What stands in a graph's metadata: all but the files. The mean shape stays: no input without it."""
        none = dict.fromkeys(("landmarks", "matte", "detector"))
        return self.model_copy(update={"graphs": {}, "variants": {}, **none})

    def to_json(self) -> str:
        """The manifest as indented JSON, ending in a newline."""
        return self.model_dump_json(indent=2) + "\n"


def parse_manifest(text: bytes | str, where: str) -> Manifest:
    """Read a manifest; the schema's version is looked at before anything else.

    Raises:
        BundleError: the JSON is damaged, of another schema, or says something impossible.
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
            f"{where} was made by a newer aif (schema {version}; this one reads schema {SCHEMA_VERSION}).",
            "Update with: pip install -U aif",
        )
    if version < SCHEMA_VERSION:
        raise BundleError(
            f"{where} was made by aif 0.1 (schema {version}; this one reads schema {SCHEMA_VERSION}).",
            'Open it with aif 0.1 (pip install "aif<0.2"), or export its run anew with aif-export.',
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
