"""Calibration: how far the decoder's y has to go for a wanted 0 or 1 to be seen, by attribute and direction.

Labels are noisy, and a regression's mean difference is smaller than what an edit needs. On training faces, a
classifier that is not the one that measures later says from which strength on edits succeed; the smallest
that is enough is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.edit_path import EditPath
from aif.runtime.editing.values import decode_values
from aif.runtime.errors import ConfigError
from aif.runtime.model.codes import FaceInputs
from aif.train.data.base import FaceDataset
from aif.train.data.readable import readable_crops
from aif.train.evaluators.evaluator import Evaluator
from aif.train.progress import counted
from aif.train.shape.model import load_shape_run
from aif.train.shape.shape_run import save_attributes

STRENGTHS = (1.0, 1.25, 1.5)
"""What is tried, weakest first; beyond the last, edits look wrong whatever a classifier says."""

ENOUGH = 0.93
"""Share of faces on which an edit has to succeed; where none does, the strength with the best share is
taken."""

GAIN = 0.03
"""A stronger edit is preferred only if it succeeds on so many more faces."""

USUAL = 1.5
"""What is taken where the classifier is no guide, for it says yes to less than half of the edits of any
strength."""


def calibrate(
    path: EditPath[Any],
    dataset: FaceDataset,
    classifier: Evaluator,
    *,
    faces: int = 60,
    log: Callable[[str], None] = print,
) -> tuple[AttributeInfo, ...]:
    """Find the strengths of a bundle's attributes.

    Args:
        path: how the bundle edits.
        dataset: training faces; labels include the attributes.
        classifier: predicts the attributes of composed crops.
        faces: how many for each attribute and direction, at the most.

    Raises:
        ConfigError: the classifier or the faces know none of the attributes.
    """
    infos, known = list(path.model.manifest.attributes), set(classifier.attributes) & set(dataset.attributes)
    if not known & {info.name for info in infos}:
        raise ConfigError(
            f"The classifier knows {', '.join(classifier.attributes)}, and nothing that the bundle edits.",
            "Fit one on these faces: aif fit evaluator",
        )
    for column, info in counted(enumerate(list(infos)), "attributes", len(infos), log):
        if info.name not in known:
            log(f"{info.name}: left as it is; the classifier or the faces do not know it")
            continue
        label = dataset.labels[:, list(dataset.attributes).index(info.name)] > 0
        shares = []
        for on in (True, False):
            rows = np.random.default_rng([0, column, on]).permutation(np.flatnonzero(label != on))[:faces]
            shares.append(_shares(path, dataset, classifier, rows.tolist(), column, on))
        to_on, to_off = shares
        if info.group != "hair":
            update = {"on": chosen(to_on)} if to_on else {}
            update |= {"off": 1 - chosen(to_off)} if to_off else {}
            infos[column] = info.model_copy(update=update)
        on_text, off_text = _text(to_on, infos[column].on), _text(to_off, 1 - infos[column].off)
        log(f"{info.name}: edits that are seen, by strength: on, {on_text}; off, {off_text}")
    return tuple(infos)


def calibrate_run(
    folder: Path,
    path: EditPath[Any],
    dataset: FaceDataset,
    classifier: Evaluator,
    *,
    faces: int = 60,
    log: Callable[[str], None] = print,
) -> None:
    """`calibrate` a run's bundle, and keep what was found in the run's folder, for the next export.

    Raises:
        CheckpointError: there is no such run.
        ConfigError: the bundle has other attributes than the run.
    """
    run = load_shape_run(folder)
    if [info.name for info in run.attributes] != list(path.model.attributes):
        raise ConfigError(f"The bundle has other attributes than {folder}.", "Export that run: aif-export")
    infos = calibrate(path, dataset, classifier, faces=faces, log=log)
    save_attributes(folder, infos, run.hair)


def chosen(shares: Mapping[float, float]) -> float:
    """The weakest strength that is enough, or that gives nearly as much as the best; else the usual one."""
    best = max(shares.values(), default=0)
    if best < 0.5:
        return USUAL
    goal = min(ENOUGH, best - GAIN)
    return min(strength for strength, share in shares.items() if share >= goal)


def _shares(
    path: EditPath[Any],
    dataset: FaceDataset,
    classifier: Evaluator,
    rows: Sequence[int],
    column: int,
    on: bool,
) -> dict[float, float]:
    """Success by strength on the faces at `rows`; empty without any."""
    side = dataset.image(rows[0]).shape[0] if rows else 0
    crops = [np.ascontiguousarray(crop[..., ::-1]) for _, crop in readable_crops(dataset, side, rows)]
    if not crops:
        return {}
    known = list(classifier.attributes).index(path.model.attributes[column])
    views = path.look_at_crops(np.stack(crops))
    pairs = list(zip(crops, views, strict=True))
    encoded = path.encode(FaceInputs.joined([path.cut(crop, [view]) for crop, view in pairs]))
    shares = {}
    for strength in STRENGTHS:
        tried = list(path.model.manifest.attributes)
        tried[column] = tried[column].model_copy(update={"on": strength, "off": 1 - strength})
        source, target = decode_values(encoded.encoding.y, {column: float(on)}, tried)
        changes = path.change(encoded, source, target)
        images = [
            path.apply(crop, [view], [change], path.mode(None))
            for (crop, view), change in zip(pairs, changes, strict=True)
        ]
        rgb = torch.from_numpy(np.stack(images)[..., ::-1].transpose(0, 3, 1, 2).copy())
        seen = classifier.predict(rgb.float() / 255)[:, known].numpy() > 0.5
        shares[strength] = float((seen == on).mean())
        if shares[strength] >= ENOUGH:
            break
    return shares


def _text(shares: Mapping[float, float], taken: float) -> str:
    tried = ", ".join(f"{100 * share:.0f}% at {strength:g}" for strength, share in shares.items())
    return f"{tried or 'no face'} -> {taken:g}"
