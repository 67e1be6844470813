"""How much of the person is left in an edited picture, beside the reconstruction and another person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from aif.runtime.errors import DataError
from aif.train.evaluators.identity import IdentityNetwork
from aif.train.evaluators.quality import Mean
from aif.train.evaluators.verification import IntArray


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

    @property
    def kept(self) -> float:
        """(edited - other) / (1 - other): 1 = the same picture, 0 = another person; NaN where other is 1."""
        room = 1 - self.other.mean
        return (self.edited.mean - self.other.mean) / room if room > 1e-6 else float("nan")


def identity_kept(
    network: IdentityNetwork,
    original: Tensor,
    edited: Tensor,
    reconstruction: Tensor,
    *,
    identities: npt.ArrayLike | None = None,
    seed: int = 0,
) -> IdentityScore:
    """Compare edited faces with the originals, beside the reconstructions and other people's faces.

    Args:
        network: what measures.
        original, edited, reconstruction: float (N, 3, S, S) RGB in [0, 1], face by face; sizes may differ.
        identities: (N,) person numbers of the originals, so that "other" is another person and not merely
            another picture; None takes each face for a person.
        seed: of who is compared with whom.

    Raises:
        DataError: no face has another person's to be compared with.
        ValueError: shapes do not fit.
    """
    if not len(original) == len(edited) == len(reconstruction):
        raise ValueError(
            f"originals, edits and reconstructions differ in number: {len(original)}, {len(edited)}, "
            f"{len(reconstruction)}"
        )
    people = np.arange(len(original)) if identities is None else np.asarray(identities)
    if people.shape != (len(original),):
        raise ValueError(f"identities must be ({len(original)},), got {people.shape}")
    partner = derangement(people, seed)
    own, changed, rebuilt = (network.embed(pictures) for pictures in (original, edited, reconstruction))
    return IdentityScore(
        *(Mean.of((own * other).sum(1).numpy()) for other in (changed, rebuilt, own[partner]))
    )


def derangement(identities: npt.ArrayLike, seed: int = 0) -> IntArray:
    """A random partner of another person for each face, each face once: int64 (N,) positions.

    Faces are lined up person by person, in random order, and compared with the line moved on by the largest
    number of faces that a person has.

    Raises:
        DataError: fewer than two faces, or more than half of them are of one person.
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
