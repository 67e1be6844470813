"""Everything that is measured of one trained run: reconstruction, edits, and what z still tells of y."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.files import write_text
from aif.train.data.base import FaceDataset
from aif.train.data.loader import evaluation_batches
from aif.train.evaluation.measure import MODES, EditingModel, measure
from aif.train.evaluation.measure_report import Blend, Measurement
from aif.train.evaluators.evaluator import Evaluator
from aif.train.evaluators.probe import ProbeKind, ProbeResult, probe

KINDS: tuple[ProbeKind, ...] = ("linear", "mlp")


@dataclass(frozen=True)
class LeakScore:
    """How well one attribute can be read from z by a fresh probe, "linear" or "mlp"."""

    attribute: str
    kind: ProbeKind
    result: ProbeResult


@dataclass(frozen=True)
class Evaluation:
    """All figures of one model on one validation set."""

    measurement: Measurement
    leaks: tuple[LeakScore, ...]

    def to_json(self) -> str:
        """All figures as JSON."""
        values = {
            "measurement": json.loads(self.measurement.to_json()),
            "leaks": [
                {"attribute": leak.attribute, "kind": leak.kind, **asdict(leak.result)} for leak in self.leaks
            ],
        }
        return json.dumps(values, indent=1) + "\n"

    def to_markdown(self) -> str:
        """The figures as Markdown tables."""
        lines = [
            self.measurement.to_markdown(),
            "| attribute | probe of z | accuracy | balanced accuracy | majority rate | n |",
            "|---|---|---|---|---|---|",
        ]
        for leak in self.leaks:
            r = leak.result
            lines.append(
                f"| {leak.attribute} | {leak.kind} | {100 * r.accuracy:.1f}% | "
                f"{100 * r.balanced_accuracy:.1f}% | {100 * r.majority_rate:.1f}% | {r.n} |"
            )
        return "\n".join(lines) + "\n"

    def summary(self) -> dict[str, float]:
        """The few figures that a manifest carries: name to number."""
        m = self.measurement
        figures = {"reconstruction_mse": m.mse}
        for score in m.edits:
            if score.success.n:
                figures[f"{score.attribute}.{score.direction}.{score.path}"] = round(score.success.rate, 4)
        for leak in self.leaks:
            name = f"{leak.attribute}.probe.z.{leak.kind}"
            figures[f"{name}.balanced_accuracy"] = round(leak.result.balanced_accuracy, 4)
        return figures


def evaluate(
    model: EditingModel,
    train: FaceDataset,
    validation: FaceDataset,
    evaluator: Evaluator,
    *,
    attributes: Sequence[str] | None = None,
    groups: Sequence[str] = (),
    edit_faces: int | None = None,
    probe_faces: int = 10_000,
    modes: Sequence[Blend] = MODES,
) -> Evaluation:
    """Measure a model.

    Args:
        model: `TorchModel` of a run, or a `FaceModel` of a bundle.
        train: faces that the probes are fitted on.
        validation: held-out faces for everything else.
        evaluator: what counts successes, trained on real faces only.
        attributes: which attributes to edit and to probe; None = all of the model's.
        groups: attributes by whose labels success is also counted apart.
        edit_faces: how many validation faces are edited; None = all.
        probe_faces: how many training faces the probes are fitted on, at the most.
        modes: ways of blending to look at beside the decoded pictures.

    Raises:
        UnknownAttributeError: data or evaluator lack an attribute of the model.
        DataError: there are no faces.
    """
    count = len(validation) if edit_faces is None else min(edit_faces, len(validation))
    measurement = measure(
        model,
        validation,
        evaluator,
        indices=range(count),
        attributes=attributes,
        groups=groups,
        modes=modes,
    )
    known, seen_train = _codes(model, train, min(probe_faces, len(train)))
    held_out, seen_val = _codes(model, validation, len(validation))
    leaks = []
    for column, attribute in enumerate(model.attributes):
        if attributes is not None and attribute not in attributes:
            continue
        y_train, y_val = train.labels[seen_train, column], validation.labels[seen_val, column]
        for kind in KINDS:
            result = probe(known, y_train, held_out, y_val, kind=kind)
            leaks.append(LeakScore(attribute, kind, result))
    return Evaluation(measurement, tuple(leaks))


def write_evaluation(evaluation: Evaluation, out: Path) -> None:
    """Write evaluation.json, evaluation.md and metrics.json (for `aif export --metrics`) into `out`."""
    texts = {
        "evaluation.json": evaluation.to_json(),
        "evaluation.md": evaluation.to_markdown(),
        "metrics.json": json.dumps(evaluation.summary(), indent=1) + "\n",
    }
    write_texts(texts, out)


def write_texts(texts: Mapping[str, str], out: Path) -> None:
    """Write files by their names into the folder `out`, none of them seen half written."""
    for name, text in texts.items():
        write_text(out / name, text)


def _codes(
    model: EditingModel, faces: FaceDataset, count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """z (n, Z) of the first `count` faces, and which n of them could be read."""
    codes: list[npt.NDArray[np.float32]] = []
    seen: list[npt.NDArray[np.int64]] = []
    for batch in evaluation_batches(faces, model.image_size, 64, range(count)):
        codes.append(model.encode(batch.images.numpy().astype(np.float32) / 255).z)
        seen.append(batch.indices.numpy())
    return np.concatenate(codes), np.concatenate(seen)
