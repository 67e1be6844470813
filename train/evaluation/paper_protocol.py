"""The paper's own count of successful edits, beside the full one of `aif.train.evaluation.measure`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from aif.train.data.base import FaceDataset
from aif.train.data.batch import evaluation_batches
from aif.train.evaluation.counting import AttributeEvaluator, check_known
from aif.train.evaluation.measure import EditingModel
from aif.train.evaluation.report import Direction
from aif.train.statistics import Share

PAPER_FACES = 100
"""The paper looks at the first hundred test images."""


@dataclass(frozen=True)
class PaperScore:
    """Of the first hundred faces those with the attribute, decoded with y = 1 (on) or 0 (off).

    success: faces on which the evaluator sees the wanted value.
    """

    attribute: str
    direction: Direction
    success: Share

    def __str__(self) -> str:
        return f"{self.attribute}, y = {int(self.direction == 'on')}: {self.success}"


def paper_protocol(
    model: EditingModel, faces: FaceDataset, evaluator: AttributeEvaluator, attributes: Sequence[str]
) -> tuple[PaperScore, ...]:
    """Count as the paper does: positives by label only, y fixed to 1 and to 0, nothing composed.

    faces: the test split, or where there is none the validation split.

    Raises:
        UnknownAttributeError: model, faces or evaluator does not know an attribute.
    """
    labels = (faces.attributes, f"the labels of {faces.name}")
    check_known(attributes, (model.attributes, "the model"), labels, (evaluator.attributes, "the evaluator"))
    scores = []
    for name in attributes:
        column = list(faces.attributes).index(name)
        theirs, mine = list(evaluator.attributes).index(name), list(model.attributes).index(name)
        positives = [i for i in range(min(PAPER_FACES, len(faces))) if faces.labels[i, column]]
        hits: dict[Direction, list[bool]] = {"on": [], "off": []}
        for batch in evaluation_batches(faces, model.image_size, 64, positives) if positives else ():
            encoding = model.encode(batch.images.numpy().astype(np.float32) / 255)
            for direction, found in hits.items():
                y = encoding.y.copy()
                y[:, mine] = float(direction == "on")
                decoded = torch.from_numpy(np.ascontiguousarray(model.decode(encoding, y).image))
                predicted = evaluator.predict(decoded)[:, theirs] > 0.5
                found.extend((predicted == (direction == "on")).tolist())
        scores += [PaperScore(name, direction, Share.of(found)) for direction, found in hits.items()]
    return tuple(scores)
