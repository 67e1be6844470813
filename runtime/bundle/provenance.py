"""Where a bundle's weights came from, and how its further precisions were made and checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from aif.runtime.bundle.attributes import Frozen


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
