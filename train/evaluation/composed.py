"""Measure edits as the user sees them: composed into the photo, whatever a bundle does to get there.

Everything is asked of one call, `Composer.edit_crops`, so that any kind of bundle and any edit function can
be measured. Success is the prediction of the evaluator, a classifier of real faces; that is not a person's
eye, so detail and person kept stand beside it, and `aif.train.evaluation.realism` asks whether an edit can
be detected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch

from aif.runtime.arrays import UInt8Array
from aif.runtime.editing.crops import EditedCrops
from aif.runtime.errors import ConfigError, DataError, UnknownAttributeError
from aif.train.data.base import FaceDataset
from aif.train.data.batch import Batch, evaluation_batches
from aif.train.evaluation.composed_report import ComposedMeasurement, ComposedScore, ComposedSide, GroupShare
from aif.train.evaluators.identity import IdentityNetwork, IdentityScore, derangement
from aif.train.evaluators.quality import INNER_FACE, Mean, detail_kept
from aif.train.statistics import Share

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]

LABEL_GROUPS = ("Male", "Young", "Eyeglasses")
"""Labels by which success is counted apart where a dataset has them."""

SKIN_GROUPS = ("skin dark", "skin medium", "skin light")
SKIN_EDGES = (50.0, 65.0)
"""CIE lightness L* (0 to 100) between the three groups of skin."""


class Composer(Protocol):
    """What is measured; `aif.runtime.Editor` is one as it stands."""

    @property
    def attributes(self) -> Sequence[str]: ...
    def edit_crops(
        self, crops_nhwc_bgr: UInt8Array, edits: Sequence[Mapping[str, float]], /
    ) -> EditedCrops: ...


class AttributeEvaluator(Protocol):
    """What predicts attributes of real faces; `aif.train.evaluators.evaluator.Evaluator` is one."""

    @property
    def attributes(self) -> Sequence[str]: ...
    @property
    def accuracy(self) -> dict[str, float]: ...
    def predict(self, crops_nchw: torch.Tensor, /) -> torch.Tensor: ...


@dataclass(frozen=True)
class ComposedOptions:
    """What to edit, and how to count."""

    attributes: tuple[str, ...] | None = None
    """Which of the composer's attributes; None for all."""
    groups: tuple[str, ...] = ()
    """Labels by which success is also counted apart, beside the three groups of skin."""
    along: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Attribute to those that its edit takes along by design, which are not counted as flipped."""
    faces: int | None = None
    """How many faces, from the first on; None for all."""
    strength: float = 1.0
    """On sets an attribute to this value, off to 1 minus it."""
    batch_size: int = 64
    """Faces at a time."""

    def __post_init__(self) -> None:
        for name, value in (("faces", self.faces), ("batch_size", self.batch_size)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}.")


def measure_composed(
    composer: Composer,
    dataset: FaceDataset,
    evaluator: AttributeEvaluator,
    options: ComposedOptions | None = None,
    *,
    identity: IdentityNetwork | None = None,
) -> ComposedMeasurement:
    """Switch each attribute to its other value, and let the evaluator look at the composed crops.

    An attribute is switched on where the label says absent and the evaluator, on the untouched crop, agrees;
    and off the other way round. Crops have the dataset's own size.

    Args:
        composer: what edits.
        dataset: held-out faces whose labels include the attributes and groups.
        evaluator: what counts a success.
        options: what to edit, and how to count.
        identity: an identity network, for how much of the person is left; None leaves that out.

    Raises:
        UnknownAttributeError: composer, labels or evaluator lack an attribute.
        DataError: there is no face, or (with an identity network) no other person to compare with.
    """
    options = options or ComposedOptions()
    wanted = tuple(composer.attributes if options.attributes is None else options.attributes)
    along = tuple(name for names in options.along.values() for name in names)
    for needed, known, where in (
        ((*wanted, *options.along), composer.attributes, "what is measured"),
        ((*wanted, *options.groups), dataset.attributes, f"the labels of {dataset.name}"),
        ((*wanted, *along), evaluator.attributes, "the evaluator"),
    ):
        for name in needed:
            if name not in known:
                raise UnknownAttributeError(name, known, where)
    count = len(dataset) if options.faces is None else min(options.faces, len(dataset))
    if not count:
        raise DataError(f"{dataset.name} has no face to measure on.")
    people = np.arange(len(dataset)) if dataset.identities is None else dataset.identities
    if identity is not None:
        derangement(people[:count])  # too few people is better found out now
    session = _Session(composer, dataset, evaluator, options, wanted, identity)
    for batch in evaluation_batches(dataset, dataset.image(0).shape[0], options.batch_size, range(count)):
        session.add(batch)
    return session.result()


def edited_crops(
    composer: Composer, crops_nhwc_bgr: UInt8Array, edits: Sequence[Mapping[str, float]]
) -> UInt8Array:
    """`edit_crops`, found to give as many uint8 pictures of the same size as came in.

    Raises:
        DataError: it does not.
    """
    shown = np.asarray(composer.edit_crops(crops_nhwc_bgr, edits).images_nhwc_bgr)
    if shown.dtype != np.uint8 or shown.shape != crops_nhwc_bgr.shape:
        raise DataError(
            f"Editing uint8 {crops_nhwc_bgr.shape} crops gave {shown.dtype} {shown.shape}, so the two cannot "
            "be compared."
        )
    return shown


def skin_lightness(crops_nhwc_bgr: UInt8Array) -> FloatArray:
    """Median CIE lightness L* of the inner face: uint8 (N, S, S, 3) -> float32 (N,), 0 black to 100 white.

    Skin covers most of the inner face, so its median is the skin's, as it is lit.
    """
    size = crops_nhwc_bgr.shape[1]
    left, top, right, bottom = (round(edge * size / 128) for edge in INNER_FACE)
    inner = crops_nhwc_bgr[:, top:bottom, left:right].astype(np.float32) / 255
    found = [np.median(cv2.cvtColor(face, cv2.COLOR_BGR2LAB)[..., 0]) for face in inner]
    return np.asarray(found, dtype=np.float32)


@dataclass
class _Tally:
    """Edited faces of one attribute as they come in, one entry a batch."""

    on: list[BoolArray] = field(default_factory=list)
    hits: list[BoolArray] = field(default_factory=list)
    flips: list[BoolArray] = field(default_factory=list)
    groups: list[BoolArray] = field(default_factory=list)
    detail: list[torch.Tensor] = field(default_factory=list)
    cosines: list[torch.Tensor] = field(default_factory=list)


class _Session:
    """Collects verdicts batch by batch."""

    def __init__(
        self,
        composer: Composer,
        dataset: FaceDataset,
        evaluator: AttributeEvaluator,
        options: ComposedOptions,
        wanted: tuple[str, ...],
        identity: IdentityNetwork | None,
    ) -> None:
        self._composer, self._dataset, self._evaluator = composer, dataset, evaluator
        self._options, self._identity = options, identity
        self._tallies = {name: _Tally() for name in wanted}
        self._embeddings: list[torch.Tensor] = []
        self._indices: list[npt.NDArray[np.int64]] = []
        self._columns = list(dataset.attributes)
        self._group_names = (*(n for g in options.groups for n in (g, f"not {g}")), *SKIN_GROUPS)

    def add(self, batch: Batch) -> None:
        indices = batch.indices.numpy()
        labels = self._dataset.labels[indices] > 0
        photos = batch.images.float() / 255
        crops = np.ascontiguousarray(batch.images.numpy()[:, ::-1].transpose(0, 2, 3, 1))
        real = self._verdicts(photos)
        groups = self._groups(crops, labels)
        own = None if self._identity is None else self._identity.embed(photos)
        self._indices.append(indices)
        if own is not None:
            self._embeddings.append(own)
        strength = self._options.strength
        for name, tally in self._tallies.items():
            column = list(self._evaluator.attributes).index(name)
            present = labels[:, self._columns.index(name)]
            rows = np.flatnonzero(present == real[:, column])
            if not len(rows):
                continue
            on = ~present[rows]
            edits = [{name: strength if each else 1 - strength} for each in on]
            shown = edited_crops(self._composer, crops[rows], edits)
            pictures = torch.from_numpy(np.ascontiguousarray(shown[..., ::-1].transpose(0, 3, 1, 2)))
            images = pictures.float() / 255
            verdicts = self._verdicts(images)
            tally.on.append(on)
            tally.hits.append(verdicts[:, column] == on)
            tally.flips.append(verdicts != real[rows])
            tally.groups.append(groups[rows])
            tally.detail.append(detail_kept(images, photos[rows]))
            if own is not None and self._identity is not None:
                tally.cosines.append((own[rows] * self._identity.embed(images)).sum(1))

    def result(self) -> ComposedMeasurement:
        seen = np.concatenate(self._indices)
        other = self._other_people(seen)
        return ComposedMeasurement(
            dataset=self._dataset.name,
            dataset_fingerprint=self._dataset.fingerprint,
            faces=len(seen),
            strength=self._options.strength,
            edits=tuple(self._score(name, tally, other) for name, tally in self._tallies.items()),
        )

    def _verdicts(self, images_nchw: torch.Tensor) -> BoolArray:
        return np.asarray(self._evaluator.predict(images_nchw).numpy() > 0.5)

    def _groups(self, crops: UInt8Array, labels: BoolArray) -> BoolArray:
        """Which of the groups each face is in: (N, groups)."""
        level = np.digitize(skin_lightness(crops), SKIN_EDGES)
        columns = [labels[:, self._columns.index(name)] for name in self._options.groups]
        both = [side for column in columns for side in (column, ~column)]
        return np.stack([*both, *(level == k for k in range(len(SKIN_GROUPS)))], axis=1)

    def _other_people(self, seen: npt.NDArray[np.int64]) -> Mean | None:
        """Cosines between each face and one of another person."""
        if self._identity is None:
            return None
        people = seen if self._dataset.identities is None else self._dataset.identities[seen]
        own = torch.cat(self._embeddings)
        return Mean.of((own * own[derangement(people)]).sum(1).numpy())

    def _score(self, name: str, tally: _Tally, other: Mean | None) -> ComposedScore:
        along = tuple(self._options.along.get(name, ()))
        on = np.concatenate([np.zeros(0, bool), *tally.on])
        person = None
        if other is not None and tally.cosines:
            same = Mean.of(np.ones(len(on)))  # where nothing is edited the photo is left as it is
            person = IdentityScore(Mean.of(torch.cat(tally.cosines).numpy()), same, other)
        return ComposedScore(
            attribute=name,
            along=along,
            evaluator_accuracy=self._evaluator.accuracy.get(name, float("nan")),
            on=self._side(name, along, tally, on),
            off=self._side(name, along, tally, ~on),
            identity=person,
        )

    def _side(self, name: str, along: tuple[str, ...], tally: _Tally, rows: BoolArray) -> ComposedSide:
        if not rows.any():
            none = tuple(GroupShare(group, Share(0, 0)) for group in self._group_names)
            return ComposedSide(Share(0, 0), float("nan"), (), Mean.of([]), none)
        hits, groups = (np.concatenate(parts)[rows] for parts in (tally.hits, tally.groups))
        rates = np.concatenate(tally.flips)[rows].mean(axis=0)
        names = self._evaluator.attributes
        others = [(n, float(r)) for n, r in zip(names, rates, strict=True) if n not in (name, *along)]
        worst = sorted((pair for pair in others if pair[1] > 0), key=lambda pair: -pair[1])[:3]
        detail = torch.cat(tally.detail).numpy()[rows]
        members = zip(self._group_names, groups.T, strict=True)
        return ComposedSide(
            success=Share.of(hits),
            flips=float(np.mean([rate for _, rate in others])) if others else float("nan"),
            most_flipped=tuple(worst),
            detail=Mean.of(detail[np.isfinite(detail)]),
            groups=tuple(GroupShare(group, Share.of(hits[inside])) for group, inside in members),
        )
