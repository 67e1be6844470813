"""`aif-train --preset best`: labelled faces in, a trained model of shape and appearance out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aif.runtime.bundle.attributes import Part
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import HairInfo
from aif.runtime.errors import ConfigError
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.faces.matte import MatteNet
from aif.train.data.base import FaceDataset
from aif.train.evaluators.evaluator import Evaluator
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.estimate import estimate
from aif.train.shape.best.run import checkpoint_folder
from aif.train.shape.best.training import ShapeOptions, train_shape
from aif.train.shape.best.verdict import Verdict, train_verdict
from aif.train.shape.faces.crops import make_crops
from aif.train.shape.faces.dense_faces import dense_landmarks
from aif.train.shape.faces.hair_colours import HAIR_ATTRIBUTES, measure_hair
from aif.train.shape.faces.known import attribute_infos, region_hint
from aif.train.shape.linear.training import open_textures
from aif.train.shape.shape_run import ATTRIBUTES_FILE, load_attributes, save_attributes
from aif.train.training.checkpoint import list_checkpoints

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
    log: Callable[[str], None] = print,
    regions: Mapping[str, tuple[Part, ...]] | None = None,
) -> None:
    """Train the preset `best` into the folder `out`; a training that is already there is resumed.

    A new one first says how long it will take. The verdict network comes before the edits, on the same faces.
    Both can be interrupted, and go on from their last checkpoint; textures and crops are cut anew each time.

    Args:
        dataset, held_out: aligned faces of the training and the validation split, of one choice of
            attributes. root: their folder, which may hold `dense.npz`. out: the training's folder. config:
            what decides the outcome. options: how it is carried out. log: gets lines. regions: parts of the
            face that attributes are about, where a user says so.

    Raises:
        ConfigError, DataError, TrainingError: as the parts do.
        KeyboardInterrupt: Ctrl-C or SIGTERM came.
    """
    _check_regions(out, dataset.attributes, regions or {}, log)
    frame = Bundle.open().manifest.face_frame
    if frame is not None and not list_checkpoints(checkpoint_folder(out)):
        log(estimate(config, frame, tuple(dataset.attributes), SIZE, options.device))
    landmarks = dense_landmarks(dataset, root, lambda: LandmarkNet(Bundle.open()), log)
    faces = open_textures(dataset, landmarks, SIZE, config.faces, config.seed, log)
    crops = make_crops(dataset, landmarks, faces.rows, SIZE, log=log)
    verdict = None
    if config.effect_steps:
        folder = out / VERDICT
        if (folder / "evaluator.json").exists():
            evaluator = Evaluator.load(folder, options.device)
        else:
            others = dense_landmarks(held_out, root, lambda: LandmarkNet(Bundle.open()), log)
            rows = np.flatnonzero(others.sure).astype(np.int64)
            held_out_crops = make_crops(held_out, others, rows, SIZE, log=log)
            evaluator = train_verdict(
                (crops, faces.labels),
                (held_out_crops, held_out.labels[rows]),
                faces.attributes,
                folder,
                device=options.device,
                log=log,
            )
        verdict = Verdict(evaluator, faces.attributes)
    if not (out / ATTRIBUTES_FILE).exists():  # which `aif calibrate` may have changed since
        hair: dict[str, HairInfo] = {}
        if set(HAIR_ATTRIBUTES) & set(dataset.attributes):
            hair = measure_hair(dataset, MatteNet(Bundle.open()), config.seed, log)
        save_attributes(out, attribute_infos(dataset.attributes, trained=True, regions=regions), hair)
    about = {"name": dataset.name, "fingerprint": dataset.fingerprint}
    if root is not None:
        about["path"] = str(root.resolve())
    infos, _ = load_attributes(out)
    train_shape(config, out, faces, crops, verdict, options, infos=infos, data=about, log=log)


def _check_regions(
    out: Path, names: Sequence[str], regions: Mapping[str, tuple[Part, ...]], log: Callable[[str], None]
) -> None:
    """A ConfigError where the run in `out` was begun with other regions: edits were trained within those.

    Of a new run, what to know of attributes without one.
    """
    if not (out / ATTRIBUTES_FILE).exists():
        if hint := region_hint(names, regions):
            log(hint)
        return
    infos, _ = load_attributes(out)
    if other := [info.name for info in infos if regions.get(info.name, info.region) != info.region]:
        raise ConfigError(
            f"The run in {out} was begun with another --region of {', '.join(other)}.",
            "Leave it out to go on with the run, or choose another --out.",
        )
