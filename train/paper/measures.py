"""All measures of one trained system, as named numbers.

Names: `Smiling.on.decoded` is the share of edits that the evaluator saw succeed,
`Smiling.on.decoded.collateral` what else flipped, `probe.mlp.mean.Smiling` what a fresh MLP reads from
posterior means, and so on. `columns.py` says what each means, `exhibits.py` which a table shows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aif.runtime.arrays import Float32Array
from aif.runtime.model.model import Encoding
from aif.train.data.base import FaceDataset
from aif.train.data.batch import evaluation_batches
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.counterfactual import measure_counterfactual
from aif.train.evaluation.evaluate import KINDS, codes
from aif.train.evaluation.measure import TorchModel, measure, unit
from aif.train.evaluation.paper_protocol import paper_protocol
from aif.train.evaluators.evaluator import Evaluator
from aif.train.evaluators.frechet import EvaluatorFeatures, frechet_distance
from aif.train.evaluators.identity import IdentityNetwork
from aif.train.evaluators.probe import probe
from aif.train.evaluators.quality import likeness
from aif.train.evaluators.verification import IntArray
from aif.train.statistics import Mean, Share


@dataclass(frozen=True)
class Number:
    """One measured number: a share lies in [0, 1]; NaN where nothing could be measured.

    Attributes:
        n: faces (or pairs) that it rests on.
        low, high: its 95 % interval; None where there is none.
    """

    value: float
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Faces:
    """The splits of one data set; columns of y are the attributes that are edited or probed."""

    train: FaceDataset
    validation: FaceDataset
    test: FaceDataset
    """Where there is no test split, the validation faces."""


@dataclass(frozen=True)
class Instruments:
    """Evaluator and identity network; both are trained on real faces alone."""

    evaluator: Evaluator
    identity: IdentityNetwork | None
    """None leaves the identity measures out."""


@dataclass(frozen=True)
class Effort:
    """How many faces the measures rest on; None = all of the split."""

    edit_faces: int | None = None
    """Validation faces that are edited."""
    picture_faces: int = 1_000
    """Validation faces for likeness, Frechet distance and distance from the truth."""
    probe_faces: int = 10_000
    """Training faces that each probe is fitted on."""


def measure_system(
    model: TorchModel,
    faces: Faces,
    instruments: Instruments,
    effort: Effort,
    probed: Sequence[str],
) -> dict[str, Number]:
    """Every measure that applies to the model.

    Args:
        probed: attributes that probes look for in z, whether or not the model knows them.

    Raises:
        UnknownAttributeError: data or evaluator lack an attribute.
        DataError: there are no faces.
    """
    numbers = _edits(model, faces, instruments, effort)
    for score in paper_protocol(model, faces.test, instruments.evaluator, model.attributes[:1]):
        numbers[f"paper.{score.direction}"] = share_number(score.success)
    numbers |= _pictures(model, faces.validation, instruments, effort)
    numbers |= _leaks(model, faces, effort, probed)
    if isinstance(faces.validation, SyntheticFaces):
        indices = range(min(effort.picture_faces, len(faces.validation)))
        found = measure_counterfactual(model, faces.validation, model.attributes[0], indices)
        numbers |= {f"truth.{'.'.join(key)}": mean_number(mean) for key, mean in found.items()}
    return numbers


def share_number(share: Share) -> Number:
    """A counted share with its Wilson interval."""
    return Number(share.rate, share.n, *share.interval)


def mean_number(mean: Mean) -> Number:
    """A mean with its normal interval; the ends are None where the spread is unknown."""
    low, high = (None if math.isnan(end) else end for end in (mean.low, mean.high))
    return Number(mean.mean, mean.n, low, high)


def _edits(model: TorchModel, faces: Faces, instruments: Instruments, effort: Effort) -> dict[str, Number]:
    count = len(faces.validation) if effort.edit_faces is None else effort.edit_faces
    indices = range(min(count, len(faces.validation)))
    found = measure(
        model, faces.validation, instruments.evaluator, indices=indices, identity=instruments.identity
    )
    numbers = {}
    for edit in found.edits:
        name = f"{edit.attribute}.{edit.direction}.{edit.view}"
        numbers[name] = share_number(edit.success)
        numbers[f"{name}.collateral"] = Number(edit.collateral, edit.success.n)
        if edit.view != "decoded":
            numbers[f"{name}.detail"] = mean_number(edit.detail)
        if edit.identity is not None:
            numbers[f"{name}.kept"] = Number(edit.identity.kept, edit.identity.edited.n)
    for name, accuracy in found.y_accuracy.items():
        numbers[f"y.{name}"] = share_number(Share(round(accuracy * found.faces), found.faces))
    first = model.attributes[0]
    others = [flips for name, flips in found.reconstruction_flips.items() if name != first]
    numbers["reconstruction.flips"] = Number(float(np.mean(others)) if others else math.nan, found.faces)
    return numbers


def _pictures(
    model: TorchModel, validation: FaceDataset, instruments: Instruments, effort: Effort
) -> dict[str, Number]:
    """Likeness of reconstructions, and Frechet distances, on the first faces of the split."""
    labels = [list(validation.attributes).index(name) for name in model.attributes]
    found: dict[str, list[torch.Tensor]] = defaultdict(list)
    first = range(min(effort.picture_faces, len(validation)))
    for batch in evaluation_batches(validation, model.image_size, 64, first):
        crops, y = unit(batch.images.numpy()), batch.y[:, labels].numpy()
        encoding = model.encode(crops)
        noise = np.random.default_rng(len(found["real"])).standard_normal(encoding.z.shape)
        real = torch.from_numpy(crops)
        rebuilt = torch.from_numpy(model.decode(encoding, encoding.y).image)
        sampled = model.decode(Encoding(noise.astype(np.float32), y), y).image
        pictures = {"real": real, "reconstruction": rebuilt, "sample": torch.from_numpy(sampled)}
        for name, part in (pictures | likeness(rebuilt, real)).items():
            found[name].append(part)
    seen = {name: torch.cat(parts) for name, parts in found.items()}
    numbers = {name: mean_number(Mean.of(seen[name].numpy())) for name in ("mse", "psnr", "ssim")}
    features = EvaluatorFeatures(instruments.evaluator)
    for name in ("reconstruction", "sample"):
        distance = frechet_distance(features, seen["real"], seen[name])
        numbers[f"frechet.{name}"] = Number(distance, len(seen[name]))
    return numbers


def _leaks(model: TorchModel, faces: Faces, effort: Effort, probed: Sequence[str]) -> dict[str, Number]:
    known, seen_train = _codes(model, faces.train, effort.probe_faces)
    held, seen_val = _codes(model, faces.validation, len(faces.validation))
    numbers = {}
    for name in probed:
        y_train = faces.train.labels[seen_train, list(faces.train.attributes).index(name)]
        y_val = faces.validation.labels[seen_val, list(faces.validation.attributes).index(name)]
        for code in known:
            for kind in KINDS if name in model.attributes else KINDS[:1]:
                found = probe(known[code], y_train, held[code], y_val, kind=kind)
                key = f"{kind}.{code}.{name}"
                numbers[f"probe.{key}"] = Number(found.accuracy, found.n, *found.interval)
                numbers[f"balanced.{key}"] = Number(found.balanced_accuracy, found.n)
                numbers[f"bits.{key}"] = Number(found.bits, found.n)
                numbers[f"majority.{name}"] = Number(found.majority_rate, found.n)
    return numbers


def _codes(model: TorchModel, faces: FaceDataset, count: int) -> tuple[dict[str, Float32Array], IntArray]:
    """Posterior means and samples of the first `count` faces that can be read, and which these are."""
    both, seen = codes(lambda crops: np.hstack(model.posterior(crops)), faces, model.image_size, count)
    mean, spread = np.hsplit(both, 2)
    noise = np.random.default_rng(0).standard_normal(mean.shape).astype(np.float32)
    return {"mean": mean, "sample": mean + spread * noise}, seen
