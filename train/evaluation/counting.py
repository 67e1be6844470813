"""Switch attributes of held-out faces to their other values, and count what the evaluator sees.

An attribute is switched on where the label says absent and the evaluator, on the untouched crop, agrees; and
off the other way round. What counts is the prediction of the evaluator, a classifier of real faces that no
model was trained with; detail and person kept stand beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.errors import ConfigError, DataError, UnknownAttributeError
from aif.train.data.base import FaceDataset
from aif.train.data.batch import Batch, evaluation_batches
from aif.train.evaluation.measure_report import DIRECTIONS, Direction, EditScore, View
from aif.train.evaluators.identity import IdentityNetwork
from aif.train.evaluators.identity_kept import IdentityScore, derangement
from aif.train.evaluators.quality import INNER_FACE, detail_kept
from aif.train.statistics import Mean, Share

BoolArray = npt.NDArray[np.bool_]

SKIN_GROUPS = ("skin dark", "skin medium", "skin light")
SKIN_EDGES = (50.0, 65.0)
"""CIE lightness L* (0 to 100) between the three groups of skin."""


class AttributeEvaluator(Protocol):
    """What predicts attributes of real faces; `aif.train.evaluators.evaluator.Evaluator` is one."""

    @property
    def attributes(self) -> Sequence[str]: ...
    @property
    def accuracy(self) -> dict[str, float]: ...
    def predict(self, crops_nchw: Tensor, /) -> Tensor: ...


class EditedBatch(Protocol):
    """One batch of faces, ready for edits."""

    @property
    def unedited(self) -> Mapping[View, Tensor | None]:
        """What each view shows without an edit: float (N, 3, P, P) in [0, 1]; None: the photo itself."""

    def edited(self, rows: npt.NDArray[np.intp], attribute: str, value: float) -> Mapping[View, Tensor]:
        """The faces `rows` with one attribute at another value, as each view shows them."""


@dataclass(frozen=True)
class EditOptions:
    """What to edit, and how to count."""

    attributes: tuple[str, ...] | None = None
    """Which of those that can be edited; None for all."""
    groups: tuple[str, ...] = ()
    """Labels by which success is also counted apart, beside the three groups of skin."""
    along: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Attribute to those that its edit takes along by design, which are not counted as flipped."""
    batch_size: int = 64
    """Faces at a time."""


@dataclass(frozen=True)
class Counted:
    """Scores by attribute, direction and view; how many faces were seen; and, by view, how often each of the
    evaluator's predictions differs between the photo and what the view shows without an edit."""

    faces: int
    edits: tuple[EditScore, ...]
    unedited_flips: Mapping[View, Mapping[str, float]]


@dataclass
class _Tally:
    """Edited faces of one attribute, direction and view as they come in, one entry a batch."""

    hits: list[BoolArray] = field(default_factory=list)
    flips: list[BoolArray] = field(default_factory=list)
    groups: list[BoolArray] = field(default_factory=list)
    detail: list[Float32Array] = field(default_factory=list)
    edited_cosines: list[Float32Array] = field(default_factory=list)
    plain_cosines: list[Float32Array] = field(default_factory=list)


def first_faces(dataset: FaceDataset, faces: int | None) -> range:
    """Positions of the first `faces` faces (None: of all); a ConfigError below 1."""
    if faces is not None and faces < 1:
        raise ConfigError(f"faces must be at least 1, got {faces}.")
    return range(len(dataset) if faces is None else min(faces, len(dataset)))


def check_known(names: Sequence[str], *places: tuple[Sequence[str], str]) -> None:
    """Raise an UnknownAttributeError for a name that one of the places (known names, words) lacks."""
    for known, where in places:
        for name in names:
            if name not in known:
                raise UnknownAttributeError(name, known, where)


def count_edits(
    open_batch: Callable[[Batch], EditedBatch],
    attributes: Sequence[str],
    dataset: FaceDataset,
    evaluator: AttributeEvaluator,
    options: EditOptions,
    *,
    indices: Sequence[int] | None = None,
    identity: IdentityNetwork | None = None,
) -> Counted:
    """Edit the faces at `indices` (None: all) at the dataset's own size, and count.

    Args:
        open_batch: readies what is measured for the edits of a batch.
        dataset: held-out faces whose labels include the attributes and groups.
        identity: measures how much of the person is left; None leaves that out.

    Raises:
        UnknownAttributeError: what is measured, labels or evaluator lack an attribute.
        DataError: there is no face, or (with an identity network) no other person to compare with.
    """
    wanted = tuple(attributes if options.attributes is None else options.attributes)
    check_known((*wanted, *options.along), (attributes, "what is measured"))
    check_known((*wanted, *options.groups), (dataset.attributes, f"the labels of {dataset.name}"))
    taken = [name for names in options.along.values() for name in names]
    check_known((*wanted, *taken), (evaluator.attributes, "the evaluator"))
    chosen = range(len(dataset)) if indices is None else indices
    if not len(chosen):
        raise DataError(f"{dataset.name} has no face to measure on.")
    people = np.arange(len(dataset)) if dataset.identities is None else dataset.identities
    if identity is not None:
        derangement(people[list(chosen)])  # too few people is better found out now
    counter = _Counter(evaluator, options, list(dataset.attributes), identity)
    for batch in evaluation_batches(dataset, dataset.image(chosen[0]).shape[0], options.batch_size, chosen):
        counter.add(open_batch(batch), batch, dataset.labels[batch.indices.numpy()] > 0, wanted)
    return counter.result(people, wanted)


def skin_lightness(crops_nhwc_rgb: UInt8Array) -> Float32Array:
    """Median CIE lightness L* of the inner face: uint8 (N, S, S, 3) -> float32 (N,), 0 black to 100 white."""
    size = crops_nhwc_rgb.shape[1]
    left, top, right, bottom = (round(edge * size / 128) for edge in INNER_FACE)
    inner = crops_nhwc_rgb[:, top:bottom, left:right].astype(np.float32) / 255
    found = [np.median(cv2.cvtColor(face, cv2.COLOR_RGB2LAB)[..., 0]) for face in inner]
    return np.asarray(found, dtype=np.float32)


class _Counter:
    """Collects predictions batch by batch."""

    def __init__(
        self,
        evaluator: AttributeEvaluator,
        options: EditOptions,
        columns: list[str],
        identity: IdentityNetwork | None,
    ) -> None:
        self._evaluator, self._options, self._columns, self._identity = evaluator, options, columns, identity
        self._names = list(evaluator.attributes)
        self._tallies: dict[tuple[str, Direction, View], _Tally] = defaultdict(_Tally)
        self._unedited: dict[View, list[BoolArray]] = defaultdict(list)
        self._own: list[Tensor] = []
        self._indices: list[npt.NDArray[np.int64]] = []
        self._groups = (*(n for g in options.groups for n in (g, f"not {g}")), *SKIN_GROUPS)

    def add(self, faces: EditedBatch, batch: Batch, labels: BoolArray, wanted: Sequence[str]) -> None:
        photos = batch.images.float() / 255
        real, groups = self._predicted(photos), self._members(batch.images, labels)
        own = None if self._identity is None else self._identity.embed(photos)
        self._indices.append(batch.indices.numpy())
        if own is not None:
            self._own.append(own)
        plain = {view: real if x is None else self._predicted(x) for view, x in faces.unedited.items()}
        cosines = {view: self._cosines(own, x) for view, x in faces.unedited.items()}
        for view, predicted in plain.items():
            self._unedited[view].append(predicted != real)
        for name in wanted:
            column, present = self._names.index(name), labels[:, self._columns.index(name)]
            for direction in DIRECTIONS:
                on = direction == "on"
                rows = np.flatnonzero((present != on) & (real[:, column] != on))
                if not len(rows):
                    continue
                for view, pictures in faces.edited(rows, name, float(on)).items():
                    tally, predicted = self._tallies[name, direction, view], self._predicted(pictures)
                    tally.hits.append(predicted[:, column] == on)
                    tally.flips.append(predicted != plain[view][rows])
                    tally.groups.append(groups[rows])
                    if pictures.shape[2:] == photos.shape[2:]:
                        tally.detail.append(detail_kept(pictures, photos[rows]).numpy())
                    if own is not None:
                        tally.edited_cosines.append(self._cosines(own[rows], pictures))
                        tally.plain_cosines.append(cosines[view][rows])

    def result(self, people: npt.NDArray[np.integer], wanted: Sequence[str]) -> Counted:
        seen = np.concatenate(self._indices)
        other = None
        if self._identity is not None:
            own = torch.cat(self._own)
            other = Mean.of((own * own[derangement(people[seen])]).sum(1).numpy())
        keys = [(name, side, view) for name in wanted for side in DIRECTIONS for view in self._unedited]
        flips = {view: np.concatenate(parts).mean(axis=0) for view, parts in self._unedited.items()}
        return Counted(
            faces=len(seen),
            edits=tuple(self._score(*key, other) for key in keys),
            unedited_flips={
                view: dict(zip(self._names, map(float, rates), strict=True)) for view, rates in flips.items()
            },
        )

    def _predicted(self, images_nchw: Tensor) -> BoolArray:
        return np.asarray(self._evaluator.predict(images_nchw).numpy() > 0.5)

    def _cosines(self, own: Tensor | None, pictures: Tensor | None) -> Float32Array:
        """Cosines with the photos; 1 for the photos themselves."""
        if own is None or self._identity is None:
            return np.empty(0, dtype=np.float32)
        if pictures is None:
            return np.ones(len(own), dtype=np.float32)
        return np.asarray((own * self._identity.embed(pictures)).sum(1).numpy())

    def _members(self, images: Tensor, labels: BoolArray) -> BoolArray:
        """Which of the groups each face is in: (N, groups)."""
        level = np.digitize(skin_lightness(images.numpy().transpose(0, 2, 3, 1)), SKIN_EDGES)
        columns = [labels[:, self._columns.index(name)] for name in self._options.groups]
        both = [side for column in columns for side in (column, ~column)]
        return np.stack([*both, *(level == k for k in range(len(SKIN_GROUPS)))], axis=1)

    def _score(self, name: str, direction: Direction, view: View, other: Mean | None) -> EditScore:
        tally = self._tallies.get((name, direction, view))
        if tally is None:
            none = dict.fromkeys(self._groups, Share(0, 0))
            return EditScore(name, direction, view, Share(0, 0), float("nan"), (), Mean.of([]), None, none)
        hits, groups = np.concatenate(tally.hits), np.concatenate(tally.groups)
        rates = np.concatenate(tally.flips).mean(axis=0)
        skipped = (name, *self._options.along.get(name, ()))
        others = [(n, float(r)) for n, r in zip(self._names, rates, strict=True) if n not in skipped]
        worst = sorted((pair for pair in others if pair[1] > 0), key=lambda pair: -pair[1])[:3]
        detail = np.concatenate([np.zeros(0, dtype=np.float32), *tally.detail])
        person = None
        if other is not None:
            edited, plain = (np.concatenate(c) for c in (tally.edited_cosines, tally.plain_cosines))
            person = IdentityScore(Mean.of(edited), Mean.of(plain), other)
        return EditScore(
            attribute=name,
            direction=direction,
            view=view,
            success=Share.of(hits),
            collateral=float(np.mean([rate for _, rate in others])) if others else 0.0,
            most_flipped=tuple(worst),
            detail=Mean.of(detail[np.isfinite(detail)]),
            identity=person,
            groups={g: Share.of(hits[inside]) for g, inside in zip(self._groups, groups.T, strict=True)},
        )
