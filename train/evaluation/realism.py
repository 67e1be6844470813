"""Can a network that is trained for the purpose tell edited faces from untouched ones?

An evaluator's prediction says that a smile is seen, not that it looks real. Here an adversary learns edited
faces of some people against untouched faces of others, and its area under the ROC curve (AUC) is taken on
people it has not seen: 0.5 = it cannot tell, 1 = it always can. Beside it stands the same figure for the same
faces before they were edited (real against real), which is what chance gives.

What would give an edit away without being one is kept out:
- both sets hold as many faces with the attribute as without it (after the edit, and before), so that the
  attribute itself says nothing; a rare attribute makes the sets smaller;
- nobody is in both sets, nor both among those trained on and those tested on;
- all faces come from the same files by the same resizing, uint8 in and uint8 out.
The label alone says on which side a face is; no evaluator is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import DataError
from aif.train.data.base import FaceDataset
from aif.train.data.batch import evaluation_batches
from aif.train.evaluation.composed import Composer, edited_crops
from aif.train.evaluation.counting import check_known
from aif.train.evaluation.report import markdown_table
from aif.train.evaluators.adversary import AdversaryConfig, Auc, adversary_auc
from aif.train.evaluators.identity import known_identities
from aif.train.evaluators.verification import IntArray

LEAST_FACES = 48
"""Faces a set below which a network learns nothing that could be tested."""
EDITED_AT_A_TIME = 64


@dataclass(frozen=True)
class Realism:
    """How well an adversary finds the edits of one attribute: edited against untouched faces of other
    people, and the same faces before they were edited; faces a set, and how many people they show.
    """

    attribute: str
    edited: Auc
    real: Auc
    faces: int
    people: int

    def __str__(self) -> str:
        return (
            f"{self.attribute}: AUC {self.edited} of {self.faces} edited faces; real against real {self.real}"
        )


def measure_realism(
    composer: Composer,
    dataset: FaceDataset,
    attribute: str,
    config: AdversaryConfig,
    log: Callable[[str], None],
) -> Realism:
    """Edit faces to their other value of `attribute`, and train an adversary to find them.

    dataset: labelled faces of known people whom nothing was trained on.

    Raises:
        UnknownAttributeError: composer or labels lack the attribute.
        DataError: people are not known, or there are too few faces on either side.
    """
    labels = (dataset.attributes, f"the labels of {dataset.name}")
    check_known([attribute], (composer.attributes, "what is measured"), labels)
    people = known_identities(dataset)
    present = dataset.labels[:, list(dataset.attributes).index(attribute)] > 0
    chosen, others = choose_sets(present, people, config.faces, config.seed)
    chosen, before = _faces(dataset, chosen, config.image_size)
    others, untouched = _faces(dataset, others, config.image_size)
    log(f"{attribute}: editing {len(chosen)} faces")
    after = np.empty_like(before)
    for start in range(0, len(before), EDITED_AT_A_TIME):
        part = slice(start, start + EDITED_AT_A_TIME)
        edits = [{attribute: 0.0 if there else 1.0} for there in present[chosen[part]]]
        after[part] = edited_crops(composer, before[part], edits)
    who = people[others], people[chosen]
    log(f"{attribute}: the adversary learns edited from untouched faces")
    edited = adversary_auc((untouched, after), who, config, log)
    log(f"{attribute}: the adversary learns untouched from untouched faces")
    real = adversary_auc((untouched, before), who, config, log)
    return Realism(attribute, edited, real, len(chosen), len(np.unique(np.concatenate(who))))


def choose_sets(
    present: npt.ArrayLike, identities: npt.ArrayLike, faces: int, seed: int = 0
) -> tuple[IntArray, IntArray]:
    """Two sets of faces of different people, as large as each other, half of each with the attribute.

    present (N,) and person numbers (N,) to positions in ascending order, `faces` at the most, twice.
    Raises DataError where a set would have fewer than `LEAST_FACES` faces.
    """
    there = np.asarray(present, dtype=bool)
    _, person = np.unique(np.asarray(identities), return_inverse=True)
    rng = np.random.default_rng([seed, 1])
    counts = np.bincount(person, there)  # people in the order of how often they have it, one here, one there
    side = np.empty(len(counts), dtype=np.int64)
    side[np.lexsort((rng.random(len(counts)), counts))] = np.arange(len(counts)) % 2
    cells = [
        [np.flatnonzero((side[person] == k) & (there == value)) for value in (False, True)] for k in (0, 1)
    ]
    half = min(faces // 2, *(len(cell) for cells_of in cells for cell in cells_of))
    if 2 * half < LEAST_FACES:
        raise DataError(
            f"Only {2 * half} faces a set can be had in which half have the attribute and half have not; an "
            f"adversary needs {LEAST_FACES}.",
            "Use more faces of more people, or a commoner attribute.",
        )
    first, second = (
        np.sort(np.concatenate([rng.choice(cell, half, replace=False) for cell in cells_of]))
        for cells_of in cells
    )
    return first, second


def to_markdown(rows: Sequence[Realism]) -> str:
    """One line an attribute."""
    cells = [
        {
            "attribute": row.attribute,
            "faces a set": row.faces,
            "AUC, edited against untouched": row.edited,
            "real against real": row.real,
        }
        for row in rows
    ]
    note = (
        "AUC of a network trained to find the edits, on people it has not seen: 0.5 = it cannot, 1 = always."
    )
    return f"{markdown_table(cells)}\n{note}\n"


def _faces(dataset: FaceDataset, indices: IntArray, size: int) -> tuple[IntArray, UInt8Array]:
    """The readable ones among the faces, and uint8 (N, size, size, 3) BGR."""
    batches = list(evaluation_batches(dataset, size, 256, indices.tolist()))
    images = np.concatenate([batch.images.numpy() for batch in batches])
    kept = np.concatenate([batch.indices.numpy() for batch in batches])
    return kept, np.ascontiguousarray(images[:, ::-1].transpose(0, 2, 3, 1))
