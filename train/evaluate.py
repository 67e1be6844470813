"""Everything that is measured of one trained run: reconstruction, edits, and what z still tells of y."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.manifest import Mode
from aif.train.data.base import FaceDataset
from aif.train.data.loader import evaluation_batches
from aif.train.evaluator import Evaluator
from aif.train.measure import MODES, EditingModel, measure
from aif.train.measure_report import Measurement
from aif.train.probe import ProbeResult, probe


@dataclass(frozen=True)
class LeakScore:
    """How well one attribute can be read from a code by a fresh probe ("z", or a handed feature's name)."""

    attribute: str
    code: str
    kind: str
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
                {"attribute": leak.attribute, "code": leak.code, "kind": leak.kind, **asdict(leak.result)}
                for leak in self.leaks
            ],
        }
        return json.dumps(values, indent=1) + "\n"

    def to_markdown(self) -> str:
        """The figures as Markdown tables."""
        lines = [
            self.measurement.to_markdown(),
            "| attribute | probe of | kind | accuracy | balanced accuracy | majority rate | n |",
            "|---|---|---|---|---|---|---|",
        ]
        for leak in self.leaks:
            r = leak.result
            lines.append(
                f"| {leak.attribute} | {leak.code} | {leak.kind} | {100 * r.accuracy:.1f}% | "
                f"{100 * r.balanced_accuracy:.1f}% | {100 * r.majority_rate:.1f}% | {r.n} |"
            )
        return "\n".join(lines) + "\n"

    def summary(self) -> dict[str, float]:
        """The few figures that a manifest carries: name to number."""
        m = self.measurement
        figures = {} if math.isnan(m.mse) else {"reconstruction_mse": m.mse}
        for score in m.edits:
            if score.success.n:
                figures[f"{score.attribute}.{score.direction}.{score.path}"] = round(score.success.rate, 4)
        for leak in self.leaks:
            name = f"{leak.attribute}.probe.{leak.code}.{leak.kind}"
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
    modes: Sequence[Mode] = MODES,
    features: bool = False,
) -> Evaluation:
    """Measure a model.

    Args:
        model: `TorchModel` of a run, or a `FaceModel` of a bundle.
        train: faces that the probes are fitted on.
        validation: held-out faces for everything else.
        evaluator: the judge of edits, trained on real faces only.
        attributes: which attributes to edit and to probe; None = all of the model's.
        groups: attributes by whose labels success is also counted apart.
        edit_faces: how many validation faces are edited; None = all.
        probe_faces: how many training faces the probes are fitted on, at the most.
        modes: compositing modes to judge beside the decoded pictures.
        features: also probe the features that the encoder hands to the decoder, averaged to 4x4.

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
    known, seen_train = _codes(model, train, min(probe_faces, len(train)), features)
    held_out, seen_val = _codes(model, validation, len(validation), features)
    leaks = []
    for column, attribute in enumerate(model.attributes):
        if attributes is not None and attribute not in attributes:
            continue
        y_train, y_val = train.labels[seen_train, column], validation.labels[seen_val, column]
        for code in known:
            for kind in ("linear", "mlp") if code == "z" else ("linear",):
                result = probe(known[code], y_train, held_out[code], y_val, kind=kind)
                leaks.append(LeakScore(attribute, code, kind, result))
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
    """Write files by their names into the folder `out`, each beside and renamed."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        partial = out / f"{name}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(out / name)


def _codes(
    model: EditingModel, faces: FaceDataset, count: int, features: bool
) -> tuple[dict[str, npt.NDArray[np.float32]], npt.NDArray[np.int64]]:
    """z (and 4x4 averages of the handed features) of the first `count` faces, each (n, D); and which n faces
    could be read."""
    parts: dict[str, list[npt.NDArray[np.float32]]] = {}
    seen: list[npt.NDArray[np.int64]] = []
    for batch in evaluation_batches(faces, model.image_size, 64, range(count)):
        seen.append(batch.indices.numpy())
        encoding = model.encode(batch.images.numpy().astype(np.float32) / 255)
        parts.setdefault("z", []).append(encoding.z)
        for name, feature in encoding.features.items() if features else ():
            n, c, h, w = feature.shape
            pooled = feature.reshape(n, c, 4, h // 4, 4, w // 4).mean(axis=(3, 5))
            parts.setdefault(name, []).append(pooled.reshape(n, -1))
    return {name: np.concatenate(found) for name, found in parts.items()}, np.concatenate(seen)
