"""How much of the person is left in an edited picture, beside the reconstruction and another person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import computed_field
from pydantic.dataclasses import dataclass

from aif.runtime.errors import DataError
from aif.train.evaluators.verification import IntArray
from aif.train.statistics import Mean


@dataclass(frozen=True)
class IdentityScore:
    """How much of the person is left in edited pictures: mean cosines, each over n faces.

    Attributes:
        edited: between a face and its edited picture.
        reconstruction: between a face and its reconstruction without an edit.
        other: between a face and another one of the same set.
    """

    edited: Mean
    reconstruction: Mean
    other: Mean

    @computed_field  # type: ignore[prop-decorator]
    @property
    def kept(self) -> float:
        """(edited - other) / (1 - other): 1 = the same picture, 0 = another person; NaN where other is 1."""
        room = 1 - self.other.mean
        return (self.edited.mean - self.other.mean) / room if room > 1e-6 else float("nan")


def derangement(identities: npt.ArrayLike, seed: int = 0) -> IntArray:
    """A random partner of another person for each face, each face once: int64 (N,) positions.

    Faces are lined up person by person, in random order, and compared with the line moved on by the largest
    number of faces that a person has. Raises DataError where there are fewer than two faces, or more than
    half of them are of one person.
    """
    people = np.asarray(identities)
    rng = np.random.default_rng(seed)
    _, person, counts = np.unique(people, return_inverse=True, return_counts=True)
    largest = int(counts.max(initial=0))
    if len(people) < 2 or 2 * largest > len(people):
        raise DataError(
            f"Of {len(people)} faces {largest} are of one person; comparing with other people needs at least "
            "as many faces of others."
        )
    order = np.lexsort((rng.random(len(people)), rng.permutation(len(counts))[person]))
    partner = np.empty(len(people), dtype=np.int64)
    partner[order] = np.roll(order, largest)
    return partner
