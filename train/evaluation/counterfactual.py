"""How far a model's edit is from the right answer, on synthetic faces, where that is known.

Real photos have no second picture of the same moment with the glasses off. Synthetic faces have:
`SyntheticFaces` makes the same face with one attribute changed and everything else equal, so an edit can be
compared with the truth pixel by pixel, apart where the picture should change and where it should not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array
from aif.runtime.errors import DataError
from aif.train.data.batch import evaluation_batches
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.counting import check_known
from aif.train.evaluation.measure import EditingModel
from aif.train.evaluation.measure_report import DIRECTIONS, Direction
from aif.train.evaluators.quality import Mean

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RegionError:
    """Distance of pictures from the truth, values in [0, 1]; averaged within each face, then over faces.

    Attributes:
        inside, outside: mean absolute error where the truth differs from the original, and elsewhere.
        inside_mse, outside_mse: the same as mean squared error.
    """

    inside: Mean
    outside: Mean
    inside_mse: Mean
    outside_mse: Mean


@dataclass(frozen=True)
class CounterfactualScore:
    """One attribute, one direction.

    Attributes:
        attribute: the attribute that was changed.
        direction: "on" for faces made without it, "off" for faces made with it.
        region: share of the picture that should change.
        edit: the model's edit of the original against the truth.
        nothing: the original itself against the truth, what an edit has to beat inside; 0 outside.
        floor: the model's reconstruction of the true picture against it, the best that its fidelity allows.
    """

    attribute: str
    direction: Direction
    region: Mean
    edit: RegionError
    nothing: RegionError
    floor: RegionError


def measure_counterfactual(
    model: EditingModel,
    dataset: SyntheticFaces,
    *,
    indices: Sequence[int] | None = None,
    attributes: Sequence[str] | None = None,
    strength: float = 1.0,
    batch_size: int = 64,
) -> tuple[CounterfactualScore, ...]:
    """Flip attributes of synthetic faces with the model, and compare with the same faces made so.

    Each face is flipped to the value that it was not made with. The other attribute values that the edit
    starts from are the encoder's own prediction, as in use. A face in which an attribute shows nowhere (at
    small sizes) counts outside only.

    Args:
        model: what is measured.
        dataset: synthetic faces at the model's size whose labels include the attributes.
        indices: which faces; None for all.
        attributes: which of the model's attributes to flip; None for all.
        strength: how far y is moved: on sets `strength`, off sets `1 - strength`.
        batch_size: faces at a time.

    Returns:
        One score an attribute and direction, in that order; n = 0 where no face allows it.

    Raises:
        UnknownAttributeError: model or dataset does not know an attribute.
        DataError: there is no face, or the faces are made at another size than the model's.
    """
    wanted = tuple(model.attributes if attributes is None else attributes)
    drawn = (dataset.attributes, "the synthetic faces' labels")
    check_known(wanted, (model.attributes, "the model"), drawn)
    size = model.image_size
    if indices is not None and not len(indices):
        raise DataError("There is no synthetic face to measure on.")
    made = dataset.image(0 if indices is None else indices[0]).shape[0]
    if made != size:
        raise DataError(
            f"The faces are made at {made} px, but the model works at {size} px.",
            f"Make them with SyntheticFaces(..., image_size={size}).",
        )
    keys = [(name, side) for name in wanted for side in DIRECTIONS]
    # by attribute and direction: shares of the picture (N, 1), then errors (N, 4) of edit, original, floor
    found: dict[tuple[str, Direction], list[tuple[FloatArray, ...]]] = {key: [] for key in keys}
    for batch in evaluation_batches(dataset, size, batch_size, indices):
        originals = np.asarray(batch.images.numpy(), dtype=np.float32) / np.float32(255)
        encoding = model.encode(originals)
        for name, side in keys:
            rows = np.flatnonzero(
                (batch.y[:, dataset.attributes.index(name)].numpy() > 0.5) != (side == "on")
            )
            if not len(rows):
                continue
            y = encoding.y[rows].copy()
            y[:, list(model.attributes).index(name)] = strength if side == "on" else 1 - strength
            edits = model.decode(encoding.rows(rows), y).image
            truths, regions = _truths(dataset, batch.indices[rows].tolist(), name, int(side == "on"))
            seen = model.encode(truths)
            pictures = (edits, originals[rows], model.decode(seen, seen.y).image)
            errors = (region_errors(picture, truths, regions) for picture in pictures)
            found[name, side].append((regions.mean(axis=(1, 2)), *errors))
    return tuple(_score(*key, parts) for key, parts in found.items())


def region_errors(
    pictures_nchw: Float32Array, truths_nchw: Float32Array, regions: BoolArray
) -> npt.NDArray[np.float64]:
    """Errors of each face inside and outside its region.

    Args:
        pictures_nchw, truths_nchw: (N, 3, S, S) in [0, 1].
        regions: (N, S, S), where the picture should change.

    Returns:
        (N, 4): mean absolute error inside and outside, mean squared error inside and outside; NaN where a
        face has no pixel there.

    Raises:
        ValueError: shapes do not fit.
    """
    shape = np.shape(truths_nchw)
    if np.shape(pictures_nchw) != shape or regions.shape != (shape[0], *shape[2:]):
        raise ValueError(
            f"pictures {np.shape(pictures_nchw)}, truths {shape} and regions {regions.shape} do not fit"
        )
    difference = np.asarray(pictures_nchw, dtype=np.float64) - truths_nchw
    columns = []
    for error in (np.abs(difference).mean(axis=1), np.square(difference).mean(axis=1)):
        for where in (regions, ~regions):
            pixels = where.sum(axis=(1, 2))
            total = (error * where).sum(axis=(1, 2))
            columns.append(np.where(pixels > 0, total / np.maximum(pixels, 1), np.nan))
    return np.stack(columns, axis=1)


def _score(name: str, direction: Direction, parts: list[tuple[FloatArray, ...]]) -> CounterfactualScore:
    """Summarise errors (n, 4); a face counts where it has a pixel, and there also if its error is NaN."""
    nothing = (np.empty(0), *(np.empty((0, 4)) for _ in range(3)))
    region, *errors = (np.concatenate(column) for column in zip(*(parts or [nothing]), strict=True))
    inside, outside = region > 0, region < 1
    edit, idle, floor = (
        RegionError(*(Mean.of(e[where, k]) for k, where in enumerate((inside, outside, inside, outside))))
        for e in errors
    )
    return CounterfactualScore(name, direction, Mean.of(region), edit, idle, floor)


def _truths(
    dataset: SyntheticFaces, faces: Sequence[int], name: str, value: int
) -> tuple[Float32Array, BoolArray]:
    """The faces made with the attribute at `value`: (N, 3, S, S) in [0, 1]; and where that matters."""
    truths = np.stack([dataset.counterfactual(face, {name: value}) for face in faces])
    regions = np.stack([dataset.changed_region(face, name) for face in faces])
    return np.ascontiguousarray(truths.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255), regions
