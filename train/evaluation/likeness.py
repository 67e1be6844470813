"""What an edit leaves of the photo: fine detail and the person, attribute by attribute."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from aif.runtime.errors import DataError
from aif.train.data.base import FaceDataset
from aif.train.data.loader import evaluation_batches
from aif.train.evaluation.measure import EditingModel, composed, face_crops
from aif.train.evaluation.measure_report import Blend
from aif.train.evaluators.identity import IdentityNetwork, IdentityScore, identity_kept
from aif.train.evaluators.quality import Mean, sharpness


@dataclass(frozen=True)
class Likeness:
    """Faces with one attribute turned to its other value, blended into their photos.

    Attributes:
        attribute: what was turned.
        sharpness: fine detail in the inner face, 1 = as much as in the photo.
        identity: how much of the person is left, as an identity network sees it.
    """

    attribute: str
    sharpness: Mean
    identity: IdentityScore


def measure_likeness(
    model: EditingModel,
    validation: FaceDataset,
    network: IdentityNetwork,
    *,
    attributes: Sequence[str] | None = None,
    faces: int | None = None,
    mode: Blend = "delta",
) -> tuple[Likeness, ...]:
    """Turn each attribute of the first `faces` faces (None = all) to what the encoder does not predict.

    Raises:
        DataError: no image could be read, or too few people are among them.
    """
    names = list(model.attributes)
    chosen = names if attributes is None else list(attributes)
    count = len(validation) if faces is None else min(faces, len(validation))
    side = validation.image(0).shape[0]
    originals, indices = [], []
    edited: dict[str, list[torch.Tensor]] = {name: [] for name in chosen}
    for batch in evaluation_batches(validation, side, 64, range(count)):
        photos = np.ascontiguousarray(batch.images.numpy().transpose(0, 2, 3, 1))
        crops = face_crops(photos, model.image_size)
        encoding = model.encode(crops)
        source = model.decode(encoding, encoding.y).image
        originals.append(batch.images.float() / 255)
        indices += batch.indices.tolist()
        for name in chosen:
            y = encoding.y.copy()
            column = names.index(name)
            y[:, column] = y[:, column] <= 0.5
            target = model.decode(encoding, y).image
            edited[name].append(torch.from_numpy(composed(photos, crops, source, target, mode)))
    if not indices:
        raise DataError(f"No image of {validation.name} could be read.")
    photo = torch.cat(originals)
    people = None if validation.identities is None else validation.identities[indices]
    found = []
    for name in chosen:
        shown = torch.cat(edited[name])
        score = identity_kept(network, photo, shown, photo, identities=people)
        found.append(Likeness(name, sharpness(shown, photo), score))
    return tuple(found)


def to_markdown(rows: Sequence[Likeness]) -> str:
    """One line an attribute."""
    lines = [
        "| attribute | n | sharpness | cosine with the photo | with another person's | person kept |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        s, i = row.sharpness, row.identity
        lines.append(
            f"| {row.attribute} | {i.edited.n} | {s.mean:.2f} [{s.low:.2f}, {s.high:.2f}] | "
            f"{i.edited.mean:.3f} | {i.other.mean:.3f} | {i.kept:.2f} |"
        )
    kept = float(np.mean([row.identity.kept for row in rows]))
    lines.append(f"| mean | | {np.mean([row.sharpness.mean for row in rows]):.2f} | | | {kept:.2f} |")
    return "\n".join(lines) + "\n"


def to_json(rows: Sequence[Likeness]) -> str:
    """The same with intervals."""
    return json.dumps([{**asdict(row), "kept": row.identity.kept} for row in rows], indent=1) + "\n"
