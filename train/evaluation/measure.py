"""Measure a model's reconstructions and edits, as decoded and as the user sees them: composed into the photo.

For models of whole crops; edits of any kind of bundle are measured as composed by
`aif.train.evaluation.composed`. What counts is the prediction of the evaluator, a
classifier of real faces that no model was trained with. Labels choose the faces and nothing else: the
attribute values that an edit starts from are the encoder's own prediction, as in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.editing.similarity.composite import FacePatch, composite
from aif.runtime.errors import DataError, UnknownAttributeError
from aif.runtime.model.model import Decoded, Encoding
from aif.train.data.augment import resize_crop
from aif.train.data.base import FaceDataset
from aif.train.data.loader import evaluation_batches
from aif.train.evaluation.composed import AttributeEvaluator
from aif.train.evaluation.measure_report import Blend, Direction, EditScore, GroupScore, Measurement, Path
from aif.train.statistics import Share

BoolArray = npt.NDArray[np.bool_]
MODES: tuple[Blend, ...] = ("delta", "replace")


class EditingModel(Protocol):
    """What is measured; `aif.runtime.model.model.FaceModel` is one, where its crops have no shape."""

    @property
    def attributes(self) -> Sequence[str]: ...
    @property
    def image_size(self) -> int: ...
    def encode(self, crops_nchw: npt.ArrayLike, /) -> Encoding: ...
    def decode(self, encoding: Encoding, y: npt.ArrayLike, /) -> Decoded: ...


class TorchModel:
    """PyTorch networks as an `EditingModel`: z is the posterior mean, nothing is random.

    Args:
        encoder: image (N, 3, S, S) -> an object with mean, log_variance and y.
        decoder: (z, y) -> image (N, 3, S, S) in [0, 1].
        attributes: names of y's columns.
        image_size: S.
        device: where to run; both networks are moved there and set to evaluation mode.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        attributes: Sequence[str],
        image_size: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.attributes = tuple(attributes)
        self.image_size = image_size
        self._device = torch.device(device)
        self._encoder = encoder.to(self._device).eval()
        self._decoder = decoder.to(self._device).eval()

    @torch.no_grad()
    def encode(self, crops_nchw: npt.ArrayLike) -> Encoding:
        """float32 (N, 3, S, S) RGB in [0, 1] -> codes."""
        out = self._encoder(self._tensor(crops_nchw))
        return Encoding(_numpy(out.mean), _numpy(out.y))

    @torch.no_grad()
    def posterior(self, crops_nchw: npt.ArrayLike) -> tuple[Float32Array, Float32Array]:
        """float32 (N, 3, S, S) RGB in [0, 1] -> mean and standard deviation of q(z | x), (N, Z) each."""
        out = self._encoder(self._tensor(crops_nchw))
        return _numpy(out.mean), _numpy((0.5 * out.log_variance.float()).exp())

    @torch.no_grad()
    def decode(self, encoding: Encoding, y: npt.ArrayLike) -> Decoded:
        """Codes and attribute values (N, A) -> images float32 (N, 3, S, S) RGB in [0, 1]."""
        return Decoded(_numpy(self._decoder(self._tensor(encoding.z), self._tensor(y))))

    def _tensor(self, array: npt.ArrayLike) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self._device)


@dataclass
class _Tally:
    """Predictions for one attribute, direction and path as they come in."""

    hits: list[BoolArray] = field(default_factory=list)
    flips: list[BoolArray] = field(default_factory=list)
    groups: list[BoolArray] = field(default_factory=list)


def measure(
    model: EditingModel,
    dataset: FaceDataset,
    evaluator: AttributeEvaluator,
    *,
    indices: Sequence[int] | None = None,
    attributes: Sequence[str] | None = None,
    groups: Sequence[str] = (),
    modes: Sequence[Blend] = MODES,
    strength: float = 1.0,
    batch_size: int = 64,
) -> Measurement:
    """Reconstruct and edit the faces at `indices`, and let the evaluator look at them.

    An attribute is switched on where the label says absent and the evaluator, on the real image, agrees; and
    off the other way round. The photo of the composed pictures is the dataset's own crop at its full size.

    Args:
        model: what is measured.
        dataset: held-out faces whose labels include the model's attributes.
        evaluator: what counts successes.
        indices: which faces; None for all.
        attributes: which of the model's attributes to edit; None for all.
        groups: attributes of the labels; success is also counted apart for faces with and without each.
        modes: ways of blending to look at beside the decoded pictures.
        strength: how far y is moved: on sets `strength`, off sets `1 - strength`.
        batch_size: faces at a time.

    Raises:
        UnknownAttributeError: model, dataset or evaluator does not know an attribute.
        DataError: there is no face.
    """
    wanted = tuple(model.attributes if attributes is None else attributes)
    for known, where in (
        (model.attributes, "the model"),
        (dataset.attributes, f"the labels of {dataset.name}"),
        (evaluator.attributes, "the evaluator"),
    ):
        for name in (*wanted, *(groups if known is dataset.attributes else ())):
            if name not in known:
                raise UnknownAttributeError(name, known, where)
    session = _Session(
        model, dataset, evaluator, wanted=wanted, groups=tuple(groups), modes=tuple(modes), strength=strength
    )
    if len(dataset) == 0 or (indices is not None and not len(indices)):
        raise DataError(f"There is no face of {dataset.name} to measure on.")
    first = 0 if indices is None else indices[0]
    photo_size = dataset.image(first).shape[0]
    for batch in evaluation_batches(dataset, photo_size, batch_size, indices):
        photos = np.ascontiguousarray(batch.images.numpy().transpose(0, 2, 3, 1))
        session.add(photos, dataset.labels[batch.indices.numpy()] > 0)
    return session.result()


class _Session:
    """Collects the evaluator's predictions batch by batch."""

    def __init__(
        self,
        model: EditingModel,
        dataset: FaceDataset,
        evaluator: AttributeEvaluator,
        *,
        wanted: tuple[str, ...],
        groups: tuple[str, ...],
        modes: tuple[Blend, ...],
        strength: float,
    ) -> None:
        self._model, self._dataset, self._evaluator, self._wanted = model, dataset, evaluator, wanted
        self._groups, self._modes, self._strength = groups, modes, strength
        paths: tuple[Path, ...] = ("decoded", *modes)
        sides: tuple[Direction, ...] = ("on", "off")
        self._tallies = {(name, side, path): _Tally() for name in wanted for side in sides for path in paths}
        self._errors: list[Float32Array] = []
        self._right: list[BoolArray] = []
        self._changed: list[BoolArray] = []

    def add(self, photos_nhwc: UInt8Array, labels: BoolArray) -> None:
        """photos uint8 (N, P, P, 3) RGB, labels (N, dataset attributes)."""
        size = self._model.image_size
        crops = face_crops(photos_nhwc, size)
        encoding = self._model.encode(crops)
        source = self._model.decode(encoding, encoding.y).image
        self._errors.append(np.square(source - crops).mean(axis=(1, 2, 3)))
        real, rebuilt = self._predictions(_nchw(photos_nhwc)), self._predictions(source)
        self._changed.append(real != rebuilt)
        columns = [list(self._dataset.attributes).index(name) for name in self._wanted]
        groups = labels[:, [list(self._dataset.attributes).index(name) for name in self._groups]]
        own = [list(self._model.attributes).index(name) for name in self._wanted]
        self._right.append((encoding.y[:, own] > 0.5) == labels[:, columns])
        plain = {mode: real for mode in self._modes}
        if "replace" in plain:  # delta leaves the photo as it is where nothing is edited
            plain["replace"] = self._predictions(composed(photos_nhwc, crops, source, source, "replace"))
        for name, column, mine in zip(self._wanted, columns, own, strict=True):
            theirs = list(self._evaluator.attributes).index(name)
            for direction in ("on", "off"):
                on = direction == "on"
                rows = np.flatnonzero((labels[:, column] != on) & (real[:, theirs] != on))
                if not len(rows):
                    continue
                y = encoding.y[rows].copy()
                y[:, mine] = self._strength if on else 1 - self._strength
                target = self._model.decode(encoding.rows(rows), y).image
                members = groups[rows]
                predicted = self._predictions(target)
                self._count((name, direction, "decoded"), theirs, on, predicted, rebuilt[rows], members)
                for mode in self._modes:
                    seen = composed(photos_nhwc[rows], crops[rows], source[rows], target, mode)
                    predicted = self._predictions(seen)
                    self._count((name, direction, mode), theirs, on, predicted, plain[mode][rows], members)

    def result(self) -> Measurement:
        errors = np.concatenate(self._errors) if self._errors else np.empty(0, dtype=np.float32)
        if not len(errors):
            raise DataError(f"No image of {self._dataset.name} could be read.")
        changed = np.concatenate(self._changed).mean(axis=0)
        right = np.concatenate(self._right).mean(axis=0)
        return Measurement(
            dataset=self._dataset.name,
            dataset_fingerprint=self._dataset.fingerprint,
            image_size=self._model.image_size,
            faces=len(errors),
            mse=float(errors.mean()),
            psnr=float((-10 * np.log10(np.maximum(errors, 1e-10))).mean()),
            y_accuracy=dict(zip(self._wanted, map(float, right), strict=True)),
            reconstruction_flips=dict(zip(self._evaluator.attributes, map(float, changed), strict=True)),
            evaluator_accuracy={
                n: self._evaluator.accuracy[n] for n in self._wanted if n in self._evaluator.accuracy
            },
            strength=self._strength,
            edits=tuple(self._score(*key, tally) for key, tally in self._tallies.items()),
        )

    def _predictions(self, images_nchw: Float32Array) -> BoolArray:
        probabilities = self._evaluator.predict(torch.from_numpy(np.ascontiguousarray(images_nchw)))
        return np.asarray(probabilities.numpy() > 0.5)

    def _count(
        self,
        key: tuple[str, Direction, Path],
        theirs: int,
        on: bool,
        edited: BoolArray,
        plain: BoolArray,
        members: BoolArray,
    ) -> None:
        self._tallies[key].hits.append(edited[:, theirs] == on)
        self._tallies[key].flips.append(edited != plain)
        self._tallies[key].groups.append(members)

    def _score(self, attribute: str, direction: Direction, path: Path, tally: _Tally) -> EditScore:
        if not tally.hits:
            none = tuple(GroupScore(name, Share(0, 0), Share(0, 0)) for name in self._groups)
            return EditScore(attribute, direction, path, Share(0, 0), float("nan"), groups=none)
        flips = np.concatenate(tally.flips).mean(axis=0)
        others = [
            (n, float(f)) for n, f in zip(self._evaluator.attributes, flips, strict=True) if n != attribute
        ]
        worst = sorted((pair for pair in others if pair[1] > 0), key=lambda pair: -pair[1])[:3]
        collateral = float(np.mean([share for _, share in others])) if others else 0.0
        hits, members = np.concatenate(tally.hits), np.concatenate(tally.groups)
        apart = tuple(
            GroupScore(name, Share.of(hits[inside]), Share.of(hits[~inside]))
            for name, inside in zip(self._groups, members.T, strict=True)
        )
        return EditScore(attribute, direction, path, Share.of(hits), collateral, tuple(worst), apart)


def composed(
    photos_nhwc: UInt8Array,
    crops: Float32Array,
    source: Float32Array,
    target: Float32Array,
    mode: Blend,
) -> Float32Array:
    """Blend each face into its photo with the runtime's own compositor.

    photos uint8 (N, P, P, 3) RGB; crops, source (decoded as it is) and target (decoded as edited) float32
    (N, 3, S, S) in [0, 1] -> float32 (N, 3, P, P) in [0, 1].
    """
    scale = crops.shape[-1] / photos_nhwc.shape[1]
    # `resize_crop` works in pixel-centre coordinates: centre (x + 1/2) goes to scale * (x + 1/2).
    matrix = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]], dtype=np.float32)
    out = []
    for photo, crop, before, after in zip(photos_nhwc, crops, source, target, strict=True):
        bgr = np.ascontiguousarray(photo[:, :, ::-1])
        out.append(composite(bgr, [FacePatch(matrix, crop, before, after)], mode)[:, :, ::-1])
    return _nchw(np.stack(out))


def face_crops(photos_nhwc: UInt8Array, size: int) -> Float32Array:
    """uint8 (N, P, P, 3) RGB crops at full size -> float32 (N, 3, size, size) in [0, 1] for a model."""
    return _nchw(np.stack([resize_crop(photo, size) for photo in photos_nhwc]))


def _nchw(images_nhwc: UInt8Array) -> Float32Array:
    return np.ascontiguousarray(images_nhwc.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def _numpy(tensor: torch.Tensor) -> Float32Array:
    return np.asarray(tensor.detach().float().cpu().numpy())
