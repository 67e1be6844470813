"""`aif-train --preset best`: labelled faces in, a trained model of shape and appearance out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aif.runtime.errors import ConfigError
from aif.train.data.base import FaceDataset
from aif.train.evaluators.evaluator import Evaluator
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.estimate import estimate
from aif.train.shape.best.training import ShapeOptions, train_shape
from aif.train.shape.best.verdict import logits_of, train_verdict
from aif.train.shape.faces.age_folds import with_age_folds
from aif.train.shape.faces.bare_skin import fit_bare_skin
from aif.train.shape.faces.dense_faces import dense_landmarks
from aif.train.shape.faces.hair_colours import measure_hair
from aif.train.shape.faces.known import COLOUR, Place, attribute_infos, parts_of, region_hint
from aif.train.shape.faces.makeup_colours import with_makeup
from aif.train.shape.faces.textures import embedded_frame, make_crops, make_textures
from aif.train.shape.linear.files import SIDECAR
from aif.train.shape.shape_run import ATTRIBUTES_FILE, load_attributes, save_attributes, save_skin
from aif.train.training.checkpoint import list_checkpoints
from aif.train.training.run import checkpoint_folder

SIZE = 128
"""Side of textures and crops in pixels."""

VERDICT = "verdict"
"""The folder of the verdict network within a training's."""


def train_best(
    dataset: FaceDataset,
    held_out: FaceDataset,
    root: Path | None,
    out: Path,
    config: ShapeConfig,
    options: ShapeOptions,
    regions: Mapping[str, tuple[Place, ...]],
    log: Callable[[str], None] = print,
) -> None:
    """Train the preset `best` into the folder `out`; a training that is already there is resumed.

    A new one first says how long it will take. The verdict network comes before the edits, on the same faces.
    Both can be interrupted, and go on from their last checkpoint; textures and crops are cut anew each time.

    Args:
        dataset, held_out: aligned faces of the training and the validation split, of the same attributes.
        root: their folder, if they have one; the run remembers it.
        regions: parts of the face that attributes are about, where a user says so.

    Raises:
        ConfigError, DataError, TrainingError: as the parts do.
        KeyboardInterrupt: Ctrl-C or SIGTERM came.
    """
    names = tuple(dataset.attributes)
    if config.effect_steps and set(names) <= set(config.effect.without):
        raise ConfigError(f"Edits of {', '.join(names)} are not trained for effect.", "Use --preset linear.")
    _check_attributes(out, names, regions, log)
    if not list_checkpoints(checkpoint_folder(out)):
        log(estimate(config, embedded_frame(), names, SIZE, options.device))
    landmarks = dense_landmarks(dataset, log, faces=config.faces, seed=config.seed)
    faces = make_textures(dataset, landmarks, SIZE, config.faces, config.seed, log)
    crops, _ = make_crops(dataset, landmarks, faces.rows, SIZE, log)
    if not (out / ATTRIBUTES_FILE).exists():  # which `aif calibrate` may have changed since
        hair = measure_hair(dataset, config.seed, log)
        infos = attribute_infos(names, trained=True, regions=regions)
        skin = with_age_folds(fit_bare_skin(faces, infos, config.seed, log), faces, infos, config.seed, log)
        save_skin(out, skin)
        save_attributes(out, with_makeup(infos, faces, config.seed, log), hair)
    verdict = None
    if config.effect_steps:
        folder = out / VERDICT
        if (folder / "evaluator.json").exists():
            evaluator = Evaluator.load(folder, options.device)
        else:
            others = dense_landmarks(held_out, log)
            held_out_crops, rows = make_crops(held_out, others, np.flatnonzero(others.sure), SIZE, log)
            known = (held_out_crops, held_out.labels[rows])
            evaluator = train_verdict(
                (crops, faces.labels), known, names, folder, device=options.device, log=log
            )
        verdict = logits_of(evaluator)
    about = {"name": dataset.name, "fingerprint": dataset.fingerprint}
    if root is not None:
        about["path"] = str(root.resolve())
    train_shape(config, out, faces, crops, verdict, options, about, log)


def _check_attributes(
    out: Path, names: Sequence[str], regions: Mapping[str, tuple[Place, ...]], log: Callable[[str], None]
) -> None:
    """A ConfigError where `out` holds another model, or a run that was begun with other attributes or, within
    which edits were trained, other regions. Of a new run, what to know of attributes without one."""
    if (out / SIDECAR).exists():
        raise ConfigError(f"{out} holds a model of preset linear.", "Choose another --out.")
    if not (out / ATTRIBUTES_FILE).exists():
        if hint := region_hint(names, regions):
            log(hint)
        return
    infos, _ = load_attributes(out)
    if [info.name for info in infos] != list(names):
        raise ConfigError(
            f"{out} holds another training (different: attributes).",
            "Choose another --out, or give the same options to resume that training.",
        )
    begun = {info.name: (set(info.region), info.still) for info in infos}
    now = {name: (set(parts_of(places)), COLOUR in places) for name, places in regions.items()}
    if other := [name for name in now if now[name] != begun[name]]:
        raise ConfigError(
            f"The run in {out} was begun with another --region of {', '.join(other)}.",
            "Leave it out to go on with the run, or choose another --out.",
        )
