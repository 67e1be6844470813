"""What a bundle says of itself: names, sizes, graph files with hashes, and where the weights came from."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, StringConstraints, ValidationError, model_validator

from aif.runtime.bundle.attributes import AttributeInfo, Frozen, HairColour, HairInfo, Name
from aif.runtime.errors import BundleError
from aif.runtime.geometry.align import TEMPLATE_128
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.points import COUNT

__all__ = ["AttributeInfo", "HairColour", "HairInfo", "Manifest"]  # and all else that is defined here

# Raised whenever a field is added, dropped or changes its meaning.
SCHEMA_VERSION: Literal[3] = 3

MANIFEST_NAME = "manifest.json"

Mode = Literal["warp", "delta", "replace"]
FrameName = Literal["similarity", "shape"]
SourceValues = Literal["predicted", "rounded"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Point = tuple[float, float]

_TEMPLATE = (46.0, 62.0), (82.0, 62.0), (64.0, 84.0), (48.8, 100.6), (79.2, 100.6)


def check_member_name(name: str) -> str:
    """Return `name` if it is a plain relative path with forward slashes, else raise ValueError."""
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


class GraphPair(Frozen):
    """Encoder and decoder of one precision."""

    encoder: FileInfo
    decoder: FileInfo


class CropNetInfo(FileInfo):
    """A network that looks at square crops of a face; `input_size` is their side in pixels."""

    input_size: Annotated[int, Field(ge=16, le=1024)]


class ShapeInfo(Frozen):
    """The texture frame: 221 points of the mean shape in units of the crop's side, triangles over them."""

    mean: Annotated[tuple[Point, ...], Field(min_length=COUNT, max_length=COUNT)]
    triangles: Annotated[tuple[tuple[int, int, int], ...], Field(min_length=1, max_length=4096)]

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """What a manifest says of a frame; coordinates are rounded to 6 decimals."""
        mean = tuple((round(float(x), 6), round(float(y), 6)) for x, y in frame.mean)
        return cls(mean=mean, triangles=tuple((int(a), int(b), int(c)) for a, b, c in frame.triangles))

    def frame(self) -> Frame:
        """The frame as arrays. Raises ValueError: the triangles name vertices that are not there."""
        return Frame(np.array(self.mean, dtype=np.float32), np.array(self.triangles, dtype=np.int32))


class Provenance(Frozen):
    """Where the weights came from. `metrics` are measured figures, name to value; None means unknown."""

    dataset: str
    dataset_fingerprint: str
    preset: str
    steps: Annotated[int, Field(ge=0)]
    faces_seen: Annotated[int, Field(ge=0)]
    seed: int | None = None
    weights_licence: str
    metrics: dict[str, float] = Field(default_factory=dict)


class FaceSet(Frozen):
    """Faces that something was measured on. `synthetic` ones say little of photographs."""

    dataset: str
    dataset_fingerprint: str
    faces: Annotated[int, Field(ge=1)]
    synthetic: bool


class Variant(Frozen):
    """How the graphs of one precision were made from the FP32 ones, and what they gave away for it.

    `method` says how; `float_layers` were left in FP32, as part/layer. `calibrated_on` are the faces that the
    ranges of an INT8 graph come from, None for other precisions. `gate` holds the figures of the comparison
    with FP32 on the faces `gated_on` (z, features, image: relative errors; y_mean, y_max: change of y;
    landmarks: greatest distance in units of the crop's side; verdicts: share of the verdicts of the evaluator
    `evaluator` that change, where one was given), and `limits` what was allowed. `speedup` is the time of
    FP32 over this precision's for a face, encoder and decoder, on one thread of `processor`. `warnings` are
    for people.
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


class Manifest(Frozen):
    """The contents of `manifest.json`; also stands in each graph's metadata (there without files).

    `template` is the five landmarks in a 128 px crop. `frame` says what the networks see: the similarity
    crop, or textures on the mean shape of `shape` together with landmarks. `features` names the further
    tensors that go from encoder to decoder. `graphs` maps a precision ("fp32", "fp16", "int8") to its graphs.
    `landmarks`, `matte` and `detector` are the networks that find dense landmarks, hair and faces, `skin` is
    what skin looks like without beard and folds, and where age brings folds. `compositing` is the default
    mode. `source_values` says which y the decoder gets for an attribute nobody asked for: the encoder's
    prediction, or that prediction rounded to 0 or 1. `hair` has the colours of hair by attribute. `parity` is
    the largest error of the graphs against the trained network by precision and batch size (z and features
    relative to their size, landmarks in units of the crop's side). `variants` tells of every precision that
    was made from FP32.
    """

    schema_version: Literal[3] = 3
    name: Name
    version: Name
    image_size: Annotated[int, Field(ge=16, le=1024)]
    latent_size: Annotated[int, Field(ge=1, le=65536)]
    template: tuple[Point, Point, Point, Point, Point] = _TEMPLATE
    frame: FrameName = "similarity"
    attributes: Annotated[tuple[AttributeInfo, ...], Field(min_length=1)]
    features: tuple[Name, ...] = ()
    graphs: dict[str, GraphPair] = Field(default_factory=dict)
    landmarks: CropNetInfo | None = None
    matte: CropNetInfo | None = None
    detector: FileInfo | None = None
    skin: FileInfo | None = None
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
        graphs = [info for pair in self.graphs.values() for info in (pair.encoder, pair.decoder)]
        return [*graphs, *filter(None, (self.landmarks, self.matte, self.detector, self.skin))]

    def without_files(self) -> Manifest:
        """What stands in a graph's metadata: all but the files. The mean shape stays: no input without it."""
        none = dict.fromkeys(("landmarks", "matte", "detector", "skin"))
        return self.model_copy(update={"graphs": {}, "variants": {}, **none})

    def to_json(self) -> str:
        """The manifest as indented JSON, ending in a newline."""
        return self.model_dump_json(indent=2) + "\n"


def parse_manifest(text: bytes | str, where: str) -> Manifest:
    """Read a manifest; BundleError where it is damaged, of another schema, or says something impossible."""
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{where}: {MANIFEST_NAME} is damaged ({error}).", "Copy or export it again."
        ) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if type(version) is not int or version < 1:
        raise BundleError(
            f"{where}: {MANIFEST_NAME} has no schema version, so this is not a bundle of aif.",
            "Make one with aif-export.",
        )
    if version != SCHEMA_VERSION:
        older = version < SCHEMA_VERSION
        raise BundleError(
            f"{where} was made by {'aif 0.1' if older else 'a newer aif'} "
            f"(schema {version}; this one reads schema {SCHEMA_VERSION}).",
            'Open it with aif 0.1 (pip install "aif<0.2"), or export its run anew with aif-export.'
            if older
            else "Update with: pip install -U aif",
        )
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        raise BundleError(
            f"{where}: {MANIFEST_NAME} is not valid at {first_fault(error)}.",
            "Copy or export the bundle again.",
        ) from error


def first_fault(error: ValidationError) -> str:
    """Place and reason of the first thing that is wrong."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the top"
    return f"{place}: {str(first['msg']).removeprefix('Value error, ')}"
