"""All measures of one trained system, as named numbers.

Names: `Smiling.on.decoded` is the share of edits that the evaluator saw succeed,
`Smiling.on.decoded.collateral` what else flipped, `probe.mlp.mean.Smiling` what a fresh MLP reads from
posterior means, and so on. `columns.py` says what each means, `exhibits.py` which a table shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import DataError
from aif.runtime.model.model import Encoding
from aif.train.data.base import FaceDataset
from aif.train.data.batch import evaluation_batches
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.counterfactual import measure_counterfactual
from aif.train.evaluation.measure import MODES, TorchModel, composed, face_crops, measure
from aif.train.evaluation.measure_report import Measurement
from aif.train.evaluation.paper_protocol import paper_protocol
from aif.train.evaluators.evaluator import Evaluator
from aif.train.evaluators.frechet import EvaluatorFeatures, frechet_distance
from aif.train.evaluators.identity import IdentityNetwork
from aif.train.evaluators.identity_kept import identity_kept
from aif.train.evaluators.probe import ProbeKind, probe
from aif.train.evaluators.quality import Mean, quality, sharpness
from aif.train.statistics import Share


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
    """Validation faces for likeness, identity, sharpness and Frechet distance."""
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
        model: the system; its first attribute is the one that identity and sharpness are measured on.
        faces: what it is measured on.
        instruments: what measures.
        effort: on how many faces.
        probed: attributes that probes look for in z, whether or not the model knows them.

    Raises:
        UnknownAttributeError: data or evaluator lack an attribute.
        DataError: there are no faces.
    """
    numbers = _edits(model, faces, instruments.evaluator, effort)
    for score in paper_protocol(model, faces.test, instruments.evaluator, model.attributes[:1]):
        numbers[f"paper.{score.direction}"] = share_number(score.success)
    numbers |= _pictures(model, faces.validation, instruments, effort)
    numbers |= _leaks(model, faces, effort, probed)
    if isinstance(faces.validation, SyntheticFaces):
        numbers |= _counterfactual(model, faces.validation, effort)
    return numbers


def share_number(share: Share) -> Number:
    """A counted share with its Wilson interval."""
    return Number(share.rate, share.n, *share.interval)


def mean_number(mean: Mean) -> Number:
    """A mean with its normal interval; the ends are None where the spread is unknown."""
    low, high = (None if math.isnan(end) else end for end in (mean.low, mean.high))
    return Number(mean.mean, mean.n, low, high)


def _edits(model: TorchModel, faces: Faces, evaluator: Evaluator, effort: Effort) -> dict[str, Number]:
    count = len(faces.validation)
    count = count if effort.edit_faces is None else min(effort.edit_faces, count)
    found: Measurement = measure(model, faces.validation, evaluator, indices=range(count))
    numbers = {}
    for edit in found.edits:
        name = f"{edit.attribute}.{edit.direction}.{edit.path}"
        numbers[name] = share_number(edit.success)
        numbers[f"{name}.collateral"] = Number(edit.collateral, edit.success.n)
    for name, accuracy in found.y_accuracy.items():
        numbers[f"y.{name}"] = share_number(Share(round(accuracy * found.faces), found.faces))
    first = model.attributes[0]
    others = [flips for name, flips in found.reconstruction_flips.items() if name != first]
    numbers["reconstruction.flips"] = Number(float(np.mean(others)) if others else math.nan, found.faces)
    return numbers


def _pictures(
    model: TorchModel, validation: FaceDataset, instruments: Instruments, effort: Effort
) -> dict[str, Number]:
    """Likeness, identity, sharpness, and Frechet distances, on the first faces of the split."""
    column = list(validation.attributes).index(model.attributes[0])
    labels = [list(validation.attributes).index(name) for name in model.attributes]
    photo_size = validation.image(0).shape[0]
    parts: dict[str, list[Float32Array]] = {}
    indices: list[int] = []
    first = range(min(effort.picture_faces, len(validation)))
    for batch in evaluation_batches(validation, photo_size, 64, first):
        photos = np.ascontiguousarray(batch.images.numpy().transpose(0, 2, 3, 1))
        crops = face_crops(photos, model.image_size)
        encoding = model.encode(crops)
        source = model.decode(encoding, encoding.y).image
        y = encoding.y.copy()
        y[:, 0] = 1 - batch.y[:, column].numpy()
        edited = model.decode(encoding, y).image
        pictures = {"photo": _unit(batch.images), "crop": crops, "reconstruction": source, "decoded": edited}
        pictures |= {mode: composed(photos, crops, source, edited, mode) for mode in MODES}
        for name, found in pictures.items():
            parts.setdefault(name, []).append(found)
        indices += batch.indices.tolist()
    if not indices:
        raise DataError(f"No image of {validation.name} could be read.")
    seen = {name: torch.from_numpy(np.concatenate(found)) for name, found in parts.items()}
    likeness = quality(seen["reconstruction"], seen["crop"])
    numbers = {name: mean_number(getattr(likeness, name)) for name in ("mse", "psnr", "ssim")}
    if likeness.lpips is not None:
        numbers["lpips"] = mean_number(likeness.lpips)
    for mode in MODES:
        numbers[f"sharpness.{mode}"] = mean_number(sharpness(seen[mode], seen["photo"]))
    if instruments.identity is not None:
        people = None if validation.identities is None else validation.identities[indices]
        for path in ("decoded", *MODES):
            score = identity_kept(
                instruments.identity, seen["photo"], seen[path], seen["reconstruction"], identities=people
            )
            numbers[f"identity.{path}"] = mean_number(score.edited)
            numbers[f"identity.kept.{path}"] = Number(score.kept, score.edited.n)
            numbers["identity.reconstruction"] = mean_number(score.reconstruction)
            numbers["identity.other"] = mean_number(score.other)
    features = EvaluatorFeatures(instruments.evaluator)
    y_real = validation.labels[np.ix_(indices, labels)].astype(np.float32)
    for name, made in (
        ("reconstruction", seen["reconstruction"]),
        ("sample", _samples(model, y_real, encoding.z.shape[1])),
    ):
        distance = frechet_distance(features, seen["crop"], made)
        numbers[f"frechet.{name}"] = Number(distance.distance, distance.made)
    return numbers


def _samples(model: TorchModel, y: Float32Array, latent_size: int) -> torch.Tensor:
    """Decoded samples of the prior, with the attributes of real faces."""
    noise = np.random.default_rng(0).standard_normal((len(y), latent_size)).astype(np.float32)
    rows = [slice(start, start + 64) for start in range(0, len(y), 64)]
    made = [model.decode(Encoding(noise[r], y[r]), y[r]).image for r in rows]
    return torch.from_numpy(np.concatenate(made))


def _leaks(model: TorchModel, faces: Faces, effort: Effort, probed: Sequence[str]) -> dict[str, Number]:
    known, seen_train = _codes(model, faces.train, effort.probe_faces)
    held, seen_val = _codes(model, faces.validation, len(faces.validation))
    numbers = {}
    kinds: tuple[ProbeKind, ...] = ("linear", "mlp")
    for name in probed:
        y_train = faces.train.labels[seen_train, list(faces.train.attributes).index(name)]
        y_val = faces.validation.labels[seen_val, list(faces.validation.attributes).index(name)]
        for code in known:
            for kind in kinds:
                if kind == "mlp" and name not in model.attributes:
                    continue
                found = probe(known[code], y_train, held[code], y_val, kind=kind)
                key = f"{kind}.{code}.{name}"
                numbers[f"probe.{key}"] = Number(found.accuracy, found.n, *found.interval)
                numbers[f"balanced.{key}"] = Number(found.balanced_accuracy, found.n)
                numbers[f"bits.{key}"] = Number(found.bits, found.n)
                numbers[f"majority.{name}"] = Number(found.majority_rate, found.n)
    return numbers


def _codes(
    model: TorchModel, faces: FaceDataset, count: int
) -> tuple[dict[str, Float32Array], npt.NDArray[np.int64]]:
    """Posterior means and samples of the first `count` faces that can be read, and which these are."""
    means, samples, seen = [], [], []
    rng = np.random.default_rng(0)
    for batch in evaluation_batches(faces, model.image_size, 64, range(min(count, len(faces)))):
        mean, spread = model.posterior(_unit(batch.images))
        means.append(mean)
        samples.append(mean + spread * rng.standard_normal(mean.shape).astype(np.float32))
        seen.append(batch.indices.numpy())
    if not seen:
        raise DataError(f"No image of {faces.name} could be read.")
    return {"mean": np.concatenate(means), "sample": np.concatenate(samples)}, np.concatenate(seen)


def _counterfactual(model: TorchModel, faces: SyntheticFaces, effort: Effort) -> dict[str, Number]:
    numbers = {}
    count = range(min(effort.picture_faces, len(faces)))
    for score in measure_counterfactual(model, faces, indices=count, attributes=model.attributes[:1]):
        for what in ("edit", "nothing", "floor"):
            error = getattr(score, what)
            for where in ("inside", "outside"):
                numbers[f"truth.{score.direction}.{what}.{where}"] = mean_number(getattr(error, where))
    return numbers


def _unit(images: torch.Tensor) -> Float32Array:
    """uint8 (N, 3, S, S) -> float32 in [0, 1]."""
    return np.asarray(images.numpy(), dtype=np.float32) / np.float32(255)
