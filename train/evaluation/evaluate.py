"""Everything that is measured of one trained run: reconstruction, edits, and what z still says of y."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array
from aif.train.data.base import FaceDataset
from aif.train.data.batch import evaluation_batches
from aif.train.evaluation.counting import AttributeEvaluator, EditOptions, first_faces
from aif.train.evaluation.measure import EditingModel, measure, unit
from aif.train.evaluation.report import Measurement, markdown_table
from aif.train.evaluators.identity import IdentityNetwork
from aif.train.evaluators.probe import ProbeKind, ProbeResult, probe

KINDS: tuple[ProbeKind, ...] = ("linear", "mlp")


@dataclass(frozen=True)
class LeakScore:
    """How well one attribute can be read from z by a fresh probe."""

    attribute: str
    result: ProbeResult


@dataclass(frozen=True)
class Evaluation:
    """All figures of one model on one validation set."""

    measurement: Measurement
    leaks: tuple[LeakScore, ...]

    def to_markdown(self) -> str:
        """The figures as Markdown tables."""
        rows = [
            {
                "attribute": leak.attribute,
                "probe of z": leak.result.kind,
                "accuracy": f"{leak.result.accuracy:.1%}",
                "balanced accuracy": f"{leak.result.balanced_accuracy:.1%}",
                "majority rate": f"{leak.result.majority_rate:.1%}",
                "n": leak.result.n,
            }
            for leak in self.leaks
        ]
        return f"{self.measurement.to_markdown()}\n{markdown_table(rows)}"

    def summary(self) -> dict[str, float]:
        """The few figures that a manifest carries: name to number."""
        leaks = {
            f"{leak.attribute}.probe.z.{leak.result.kind}.balanced_accuracy": leak.result.balanced_accuracy
            for leak in self.leaks
        }
        return self.measurement.summary() | {name: round(value, 4) for name, value in leaks.items()}


def evaluate(
    model: EditingModel,
    train: FaceDataset,
    validation: FaceDataset,
    evaluator: AttributeEvaluator,
    options: EditOptions,
    *,
    edit_faces: int | None,
    probe_faces: int,
    identity: IdentityNetwork | None,
) -> Evaluation:
    """Measure a model; errors as `measure`.

    Args:
        train: faces that the probes are fitted on, `probe_faces` at the most.
        validation: held-out faces for everything else; the first `edit_faces` are edited.
    """
    indices = first_faces(validation, edit_faces)
    measurement = measure(model, validation, evaluator, options, indices=indices, identity=identity)
    size = model.image_size
    known, seen_train = codes(lambda crops: model.encode(crops).z, train, size, probe_faces)
    held_out, seen_val = codes(lambda crops: model.encode(crops).z, validation, size, len(validation))
    leaks = []
    for column, attribute in enumerate(model.attributes):
        if options.attributes is None or attribute in options.attributes:
            y_train, y_val = train.labels[seen_train, column], validation.labels[seen_val, column]
            leaks += [LeakScore(attribute, probe(known, y_train, held_out, y_val, kind=k)) for k in KINDS]
    return Evaluation(measurement, tuple(leaks))


def codes(
    encode: Callable[[Float32Array], Float32Array], faces: FaceDataset, size: int, count: int
) -> tuple[Float32Array, npt.NDArray[np.int64]]:
    """What `encode` makes of the first `count` faces at `size` px (at the most), and which could be read."""
    found: list[Float32Array] = []
    seen: list[npt.NDArray[np.int64]] = []
    for batch in evaluation_batches(faces, size, 64, range(min(count, len(faces)))):
        found.append(encode(unit(batch.images.numpy())))
        seen.append(batch.indices.numpy())
    return np.concatenate(found), np.concatenate(seen)
