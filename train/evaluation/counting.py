"""Switch attributes of held-out faces to their other values, and count what the evaluator sees.

An attribute is switched on where the label says absent and the evaluator, on the untouched crop, agrees; and
off the other way round. What counts is the prediction of the evaluator, a classifier of real faces that no
model was trained with; detail and person kept stand beside it.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.errors import ConfigError, DataError, UnknownAttributeError
from aif.train.data.base import FaceDataset
from aif.train.data.batch import Batch, evaluation_batches
from aif.train.evaluation.report import DIRECTIONS, Direction, EditScore, Measurement, View
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
    def right(self) -> dict[str, tuple[float, float]]: ...
    def predict(self, crops_nchw: Tensor, /) -> Tensor: ...


Edit = Callable[[npt.NDArray[np.intp], str, float], Mapping[View, Tensor]]
"""Rows of a batch, an attribute and its new value to the faces as each view shows them: float (N, 3, P, P) in
[0, 1]."""


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


class _Edited(NamedTuple):
    """The edited faces of a batch for one attribute, direction and view, one row a face."""

    hits: BoolArray
    flips: BoolArray
    groups: BoolArray
    detail: Float32Array
    cosines: Float32Array
    unedited_cosines: Float32Array


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
    open_batch: Callable[[Batch], tuple[Mapping[View, Tensor | None], Edit]],
    attributes: Sequence[str],
    dataset: FaceDataset,
    evaluator: AttributeEvaluator,
    options: EditOptions,
    indices: Sequence[int] | None,
    identity: IdentityNetwork | None,
) -> Measurement:
    """Edit the faces at `indices` (None: all) at the dataset's own size, and count.

    Args:
        open_batch: a batch to what each view shows of it without an edit (None: the photo itself), and to
            its edits.
        attributes: what can be edited.
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
    counter = _Counter(evaluator, dataset, options, identity, wanted)
    for batch in evaluation_batches(dataset, dataset.image(chosen[0]).shape[0], options.batch_size, chosen):
        counter.add(batch, *open_batch(batch))
    seen = np.concatenate(counter.indices)
    other = None
    if identity is not None:
        own = torch.cat(counter.embeddings)
        other = Mean.of((own * own[derangement(people[seen])]).sum(1).numpy())
    keys = [(name, side, view) for name in wanted for side in DIRECTIONS for view in counter.unedited_flips]
    rebuilt: dict[str, float] = {}
    if "decoded" in counter.unedited_flips:
        rates = np.concatenate(counter.unedited_flips["decoded"]).mean(axis=0).tolist()
        rebuilt = dict(zip(evaluator.attributes, rates, strict=True))
    return Measurement(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        faces=len(seen),
        evaluator_right=evaluator.right,
        along={name: tuple(others) for name, others in options.along.items()},
        edits=tuple(counter.score(*key, other) for key in keys),
        reconstruction_flips=rebuilt,
    )


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
        dataset: FaceDataset,
        options: EditOptions,
        identity: IdentityNetwork | None,
        wanted: Sequence[str],
    ) -> None:
        self._evaluator, self._options, self._identity, self._wanted = evaluator, options, identity, wanted
        self._names = list(evaluator.attributes)
        self._labels = {name: dataset.labels[:, k] > 0 for k, name in enumerate(dataset.attributes)}
        self._edited: dict[tuple[str, Direction, View], list[_Edited]] = defaultdict(list)
        self._groups = (*(n for g in options.groups for n in (g, f"not {g}")), *SKIN_GROUPS)
        self.unedited_flips: dict[View, list[BoolArray]] = defaultdict(list)
        self.embeddings: list[Tensor] = []
        self.indices: list[npt.NDArray[np.int64]] = []

    def add(self, batch: Batch, unedited: Mapping[View, Tensor | None], edit: Edit) -> None:
        photos = batch.images.float() / 255
        labels = {name: column[batch.indices.numpy()] for name, column in self._labels.items()}
        real, groups = self._predicted(photos), self._members(batch.images, labels)
        own = torch.empty(len(photos), 0) if self._identity is None else self._identity.embed(photos)
        self.indices.append(batch.indices.numpy())
        self.embeddings.append(own)
        plain = {view: real if x is None else self._predicted(x) for view, x in unedited.items()}
        cosines = {view: self._cosines(own, x) for view, x in unedited.items()}
        for view, predicted in plain.items():
            self.unedited_flips[view].append(predicted != real)
        for name, direction in itertools.product(self._wanted, DIRECTIONS):
            column, on = self._names.index(name), direction == "on"
            rows = np.flatnonzero((labels[name] != on) & (real[:, column] != on))
            if not len(rows):
                continue
            for view, pictures in edit(rows, name, float(on)).items():
                predicted = self._predicted(pictures)
                same_size = pictures.shape[2:] == photos.shape[2:]
                self._edited[name, direction, view].append(
                    _Edited(
                        hits=predicted[:, column] == on,
                        flips=predicted != plain[view][rows],
                        groups=groups[rows],
                        detail=detail_kept(pictures, photos[rows]).numpy() if same_size else np.empty(0, "f"),
                        cosines=self._cosines(own[rows], pictures),
                        unedited_cosines=cosines[view][rows],
                    )
                )

    def score(self, name: str, direction: Direction, view: View, other: Mean | None) -> EditScore:
        parts = self._edited.get((name, direction, view))
        if parts is None:
            none = dict.fromkeys(self._groups, Share(0, 0))
            return EditScore(name, direction, view, Share(0, 0), float("nan"), (), Mean.of([]), None, none)
        found = _Edited(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        rates = zip(self._names, found.flips.mean(axis=0).tolist(), strict=True)
        skipped = (name, *self._options.along.get(name, ()))
        others = [(each, rate) for each, rate in rates if each not in skipped]
        worst = sorted((pair for pair in others if pair[1] > 0), key=lambda pair: -pair[1])[:3]
        person = None
        if other is not None:
            person = IdentityScore(Mean.of(found.cosines), Mean.of(found.unedited_cosines), other)
        groups = zip(self._groups, found.groups.T, strict=True)
        return EditScore(
            attribute=name,
            direction=direction,
            view=view,
            success=Share.of(found.hits),
            collateral=float(np.mean([rate for _, rate in others])) if others else 0.0,
            most_flipped=tuple(worst),
            detail=Mean.of(found.detail[np.isfinite(found.detail)]),
            identity=person,
            groups={group: Share.of(found.hits[inside]) for group, inside in groups},
        )

    def _predicted(self, images_nchw: Tensor) -> BoolArray:
        return np.asarray(self._evaluator.predict(images_nchw).numpy() > 0.5)

    def _cosines(self, own: Tensor, pictures: Tensor | None) -> Float32Array:
        """Cosines with the photos' embeddings; 1 for the photos themselves."""
        if pictures is None or self._identity is None:
            return np.ones(len(own), dtype=np.float32)
        return np.asarray((own * self._identity.embed(pictures)).sum(1).numpy())

    def _members(self, images: Tensor, labels: Mapping[str, BoolArray]) -> BoolArray:
        """Which of the groups each face is in: (N, groups)."""
        level = np.digitize(skin_lightness(images.numpy().transpose(0, 2, 3, 1)), SKIN_EDGES)
        both = [side for name in self._options.groups for side in (labels[name], ~labels[name])]
        return np.stack([*both, *(level == k for k in range(len(SKIN_GROUPS)))], axis=1)
