"""How far a model's edit is from the right answer, on synthetic faces, where that is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aif.train.data.batch import evaluation_batches
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.counting import check_known
from aif.train.evaluation.measure import EditingModel, unit
from aif.train.evaluation.report import Direction
from aif.train.statistics import Mean


def measure_counterfactual(
    model: EditingModel, dataset: SyntheticFaces, attribute: str, indices: Sequence[int] | None = None
) -> dict[tuple[Direction, str, str], Mean]:
    """Flip an attribute of synthetic faces with the model, and compare with the same faces drawn so.

    The other attribute values that the edit starts from are the encoder's own prediction, as in use.

    Args:
        dataset: synthetic faces at the model's size whose labels include the attribute.

    Returns:
        Mean absolute errors over faces, values in [0, 1], by direction; by what is compared: the model's
        "edit", "nothing" (the original) or the "floor" (the model's reconstruction of the true picture); and
        by where: "inside" what should change, or "outside".

    Raises:
        UnknownAttributeError: model or dataset does not know the attribute.
    """
    labels = (dataset.attributes, "the synthetic faces' labels")
    check_known([attribute], (model.attributes, "the model"), labels)
    column, mine = dataset.attributes.index(attribute), list(model.attributes).index(attribute)
    found: dict[tuple[Direction, str, str], list[npt.NDArray[np.float64]]] = defaultdict(list)
    directions: tuple[tuple[Direction, int], ...] = (("on", 1), ("off", 0))
    for batch in evaluation_batches(dataset, model.image_size, 64, indices):
        originals = unit(batch.images.numpy())
        encoding = model.encode(originals)
        for direction, value in directions:
            rows = np.flatnonzero(batch.y[:, column].numpy() != value)
            if not len(rows):
                continue
            drawn = [dataset.counterfactual(i, {attribute: value}) for i in batch.indices[rows].tolist()]
            truths = unit(np.stack(drawn).transpose(0, 3, 1, 2))
            regions = (truths != originals[rows]).any(axis=1)
            y = encoding.y[rows].copy()
            y[:, mine] = value
            seen = model.encode(truths)
            pictures = {
                "edit": model.decode(encoding.rows(rows), y).image,
                "nothing": originals[rows],
                "floor": model.decode(seen, seen.y).image,
            }
            for what, picture in pictures.items():
                error = np.abs(picture.astype(np.float64) - truths).mean(axis=1)
                for where, mask in (("inside", regions), ("outside", ~regions)):
                    means = np.ma.masked_array(error, ~mask).mean(axis=(1, 2))
                    found[direction, what, where].append(np.ma.compressed(means))
    return {key: Mean.of(np.concatenate(parts)) for key, parts in found.items()}
