"""`aif-train --preset best` and `linear`: labelled faces in, a model of shape and appearance out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast, get_args

import torch

from aif.runtime.bundle.attributes import Part
from aif.runtime.errors import ConfigError, UnknownAttributeError
from aif.train.config import assign, read_settings
from aif.train.data.base import FaceDataset
from aif.train.data.open import open_faces
from aif.train.shape.best.command import SIZE, train_best
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.training import ShapeOptions
from aif.train.shape.faces.age_folds import with_age_folds
from aif.train.shape.faces.bare_skin import fit_bare_skin
from aif.train.shape.faces.dense_faces import dense_landmarks
from aif.train.shape.faces.hair_colours import measure_hair
from aif.train.shape.faces.known import COLOUR, Place, attribute_infos, region_hint
from aif.train.shape.faces.makeup_colours import with_makeup
from aif.train.shape.faces.textures import make_textures
from aif.train.shape.linear.files import SIDECAR, already_there, save_linear
from aif.train.shape.linear.fit import LinearConfig, fit_linear
from aif.train.shape.shape_run import ShapeRun

Regions = dict[str, tuple[Place, ...]]


def train_shape_command(
    preset: str,
    out: Path,
    data: Path | None,
    table: Path | None,
    attributes: tuple[str, ...],
    regions: Sequence[str],
    given: Mapping[str, Any],
    assignments: Sequence[str],
    *,
    accelerator: str,
    checkpoint_every: int,
    log_every: int,
    sample_every: int,
    dry_run: bool,
    log: Callable[[str], None] = print,
) -> None:
    """Train a model of shape and appearance, or go on with one.

    Args (the others are as `aif-train --help` has them):
        preset: best or linear.
        regions: NAME=PART+PART, where the edits of an attribute act; with +colour they move nothing.
        given: of steps, batch_size, learning_rate, image_size, width, precision and seed those that are.
        assignments: any other setting, such as effect.mixing=0.02.
        log: gets lines while it is under way.

    Raises:
        ConfigError: a setting is out of range, or one that the preset does not have.
        DataError: the data cannot be read.
    """
    where = parse_regions(regions, attributes)
    size = given.get("image_size", SIZE)
    linear = preset == "linear"
    config = _linear_config(given, assignments) if linear else _best_config(given, assignments)
    if dry_run:
        sized = {"image_size": size} if linear else {}
        print(json.dumps({"preset": preset, **sized, **asdict(config)}, indent=2))
        return
    faces = open_faces(data, "train", attributes, table=table, image_size=size)
    if isinstance(config, LinearConfig):
        train_baseline(faces, data, out, size, config, where, log)
    else:
        held_out = open_faces(data, "val", attributes, table=table, image_size=size)
        device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        options = ShapeOptions(device, log_every, checkpoint_every, sample_every)
        train_best(faces, held_out, data, out, config, options, where, log)
    print(f"Next: aif-export {out} -o {out.name}.aif")


def train_baseline(
    dataset: FaceDataset,
    root: Path | None,
    out: Path,
    size: int,
    config: LinearConfig,
    regions: Mapping[str, tuple[Place, ...]],
    log: Callable[[str], None] = print,
) -> None:
    """Fit the linear baseline on a dataset and write its folder, in minutes of one core.

    Args:
        dataset: aligned faces with labels.
        root: the dataset's folder, if it has one; the model remembers it.
        out: folder to write; a model that is there already stays as it is.
        size: side of the textures in pixels.
        regions: parts of the face that attributes are about, where a user says so.

    Raises:
        ConfigError: `out` holds something else, or there are too few faces.
    """
    asked = {
        "settings": asdict(config),
        "size": size,
        "attributes": list(dataset.attributes),
        "regions": {name: sorted(parts) for name, parts in sorted(regions.items())},
        "data": dataset.fingerprint,
    }
    if already_there(out, asked):
        log(f"{out} holds this model already.")
        return
    if hint := region_hint(dataset.attributes, regions):
        log(hint)
    landmarks = dense_landmarks(dataset, log, faces=config.faces, seed=config.seed)
    faces = make_textures(dataset, landmarks, size, config.faces, config.seed, log)
    encoder, decoder = fit_linear(faces, config, log)
    infos = attribute_infos(dataset.attributes, regions=regions)
    skin = fit_bare_skin(faces, infos, config.seed, log)
    run = ShapeRun(
        encoder=encoder,
        decoder=decoder,
        frame=faces.frame,
        attributes=with_makeup(infos, faces, config.seed, log),
        image_size=size,
        latent_size=encoder.z.out_features,
        preset="linear",
        steps=1,
        faces_seen=len(faces),
        seed=config.seed,
        data_name=dataset.name,
        data_fingerprint=dataset.fingerprint,
        data_path=None if root is None else str(root.resolve()),
        hair=measure_hair(dataset, config.seed, log),
        skin=with_age_folds(skin, faces, infos, config.seed, log),
    )
    save_linear(out, run, asked)
    log(f"wrote {out / SIDECAR}")


def parse_regions(texts: Sequence[str], attributes: Sequence[str]) -> Regions:
    """Attribute to parts of the face, from texts like `Lipstick=mouth` and `Blush=cheeks+nose`.

    Raises:
        UnknownAttributeError: it is not among `attributes`.
        ConfigError: there is no such part; the message names them all.
    """
    regions: Regions = {}
    for text in texts:
        name, _, words = (part.strip() for part in text.partition("="))
        if name not in attributes:
            raise UnknownAttributeError(name, attributes, "--attributes")
        parts = tuple(word.strip() for word in words.split("+"))
        if wrong := [part for part in parts if part not in (*get_args(Part), COLOUR)]:
            raise ConfigError(
                f"--region {text}: {wrong[0]!r} is no part of a face.",
                f"Parts: {', '.join(get_args(Part))}; several: {name}=mouth+jaw. Left out: all of the face. "
                f"Colours alone, without movement: {name}=mouth+{COLOUR}.",
            )
        regions[name] = cast(tuple[Place, ...], parts)
    return regions


def _best_config(given: Mapping[str, Any], assignments: Sequence[str]) -> ShapeConfig:
    if given.get("image_size", SIZE) != SIZE or "width" in given:
        raise ConfigError(
            f"The networks of preset best are of {SIZE} px and one width.",
            "Leave --image-size and --width out.",
        )
    if given.get("precision", "auto") != "auto":
        raise ConfigError("Preset best chooses its precision by the processor.", "Leave --precision out.")
    values = asdict(ShapeConfig())
    if "steps" in given:
        values["effect_steps"] = given["steps"]
    values |= {name: given[name] for name in ("batch_size", "seed") if name in given}
    values["rates"]["networks"] = given.get("learning_rate", values["rates"]["networks"])
    return read_settings(ShapeConfig, assign(values, assignments))


def _linear_config(given: Mapping[str, Any], assignments: Sequence[str]) -> LinearConfig:
    for name in ("steps", "batch_size", "learning_rate", "width"):
        if name in given:
            raise ConfigError(
                f"--{name.replace('_', '-')} means nothing to a model that is fitted in closed form.",
                "Leave it out.",
            )
    values = asdict(LinearConfig(seed=given.get("seed", 0)))
    return read_settings(LinearConfig, assign(values, assignments))
