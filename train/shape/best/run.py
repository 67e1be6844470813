"""The folder of a shape training: shape.json, checkpoints/, metrics.jsonl, samples/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from aif.runtime.errors import CheckpointError, ConfigError
from aif.runtime.files import write_text
from aif.runtime.geometry.frame import Frame
from aif.train.config import read_settings
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.state import beginning
from aif.train.shape.faces.store import FaceStore
from aif.train.shape.linear.networks import LinearDecoder, LinearEncoder, unfitted
from aif.train.shape.shape_run import ShapeRun, load_attributes, load_skin
from aif.train.training.checkpoint import list_checkpoints, load_checkpoint
from aif.train.training.run import checkpoint_folder

FILE = "shape.json"


def prepare_folder(out: Path, config: ShapeConfig, store: FaceStore, data: Mapping[str, str]) -> None:
    """Make the folder, or check that the training in it is this one; only the numbers of steps may differ.

    Args:
        data: name, fingerprint and path of the training faces; they may have moved.

    Raises:
        ConfigError: it holds another training.
    """
    about = {
        "config": asdict(config),
        "attributes": list(store.attributes),
        "size": store.size,
        "mean": store.frame.mean.tolist(),
        "triangles": store.frame.triangles.tolist(),
        "data": {**data, "faces": len(store)},
    }
    path = out / FILE
    if path.exists() and list_checkpoints(checkpoint_folder(out)):
        there = _read(path)
        wanted = json.loads(json.dumps(about))
        for each in (there, wanted):
            each["config"] = {k: v for k, v in each["config"].items() if not k.endswith("_steps")}
            each["data"].pop("path", None)
        there, wanted = ({**each.pop("config"), **each} for each in (there, wanted))
        different = [key for key in wanted if key not in there or there[key] != wanted[key]]
        if different:
            raise ConfigError(
                f"{out} holds another training (different: {', '.join(different)}).",
                "Choose another --out, or give the same options to resume that training; one that another "
                "version of aif began has to be begun anew.",
            )
    write_text(path, json.dumps(about))


def unfitted_of(
    info: Mapping[str, Any], size: int, attributes: int, config: ShapeConfig
) -> tuple[LinearEncoder, LinearDecoder]:
    """A baseline of the sizes that a checkpoint's `info` tells, for its weights to be put in."""
    shape, texture = info["components"]
    return unfitted(size, shape, texture, attributes, info.get("features", config.linear.features))


def load_trained(out: Path) -> ShapeRun:
    """What a training has learnt so far, from its newest checkpoint: the moving averages.

    Raises:
        CheckpointError: there is none, or it is damaged.
        OSError, ValueError, KeyError, RuntimeError: its files do not fit each other, or one is missing.
    """
    checkpoints = list_checkpoints(checkpoint_folder(out))
    if not checkpoints or not (out / FILE).exists():
        raise CheckpointError(
            f"{out} holds no checkpoint of a shape training.", "Train one: aif-train --preset best"
        )
    about = _read(out / FILE)
    groups, info = load_checkpoint(checkpoints[-1])
    names, size, data = tuple(about["attributes"]), int(about["size"]), about["data"]
    config = read_settings(ShapeConfig, about["config"])
    encoder, decoder = beginning(unfitted_of(info, size, len(names), config), names, config)
    encoder.load_state_dict(groups["ema_encoder"])
    decoder.load_state_dict(groups["ema_decoder"])
    attributes, hair = load_attributes(out)
    return ShapeRun(
        encoder.eval().requires_grad_(False),
        decoder.eval().requires_grad_(False),
        Frame(np.array(about["mean"], np.float32), np.array(about["triangles"], np.int32)),
        attributes,
        image_size=size,
        latent_size=encoder.mean.out_features,
        preset="best",
        steps=int(info["step"]),
        faces_seen=int(info["step"]) * config.batch_size,
        seed=config.seed,
        data_name=str(data["name"]),
        data_fingerprint=str(data.get("fingerprint", "")),
        hair=hair,
        data_path=data.get("path"),
        skin=load_skin(out),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}).") from error
