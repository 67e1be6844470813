"""The folder of a shape training: shape.json, checkpoints/, metrics.jsonl, samples/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aif.runtime.errors import CheckpointError, ConfigError
from aif.runtime.files import write_text
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.networks import ShapeDecoder, ShapeEncoder
from aif.train.shape.best.state import beginning
from aif.train.shape.faces.store import FaceStore
from aif.train.shape.linear.networks import LinearDecoder, LinearEncoder
from aif.train.training.checkpoint import list_checkpoints, load_checkpoint

FILE = "shape.json"


@dataclass(frozen=True)
class Trained:
    """Encoder and decoder of a training as they are exported (moving averages), in eval mode, on the CPU.

    Attributes:
        encoder, decoder: the networks.
        frame: the textures' frame.
        attributes: names of y.
        size: side of a texture in pixels.
        config: the training's settings.
        step: steps done.
        data: `name`, `fingerprint` and number (`faces`) of the training faces.
    """

    encoder: ShapeEncoder
    decoder: ShapeDecoder
    frame: Frame
    attributes: tuple[str, ...]
    size: int
    config: ShapeConfig
    step: int
    data: dict[str, Any]

    @property
    def faces_seen(self) -> int:
        """How many faces the training has seen, repetitions counted."""
        return self.step * self.config.batch_size


def checkpoint_folder(out: Path) -> Path:
    """Where a training's checkpoints lie."""
    return out / "checkpoints"


def prepare_folder(out: Path, config: ShapeConfig, store: FaceStore, data: Mapping[str, str]) -> None:
    """Make the folder, or check that the training in it is this one; only the numbers of steps may differ.

    Args:
        data: name, fingerprint and path of the training faces; they may have moved.

    Raises:
        ConfigError: it holds another training.
    """
    about = {
        "config": config.to_dict(),
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
        different = [key for key in wanted if there.get(key) != wanted[key]]
        if different:
            raise ConfigError(
                f"{out} holds another training (different: {', '.join(different)}).",
                "Choose another --out, or give the same options to resume that training.",
            )
    write_text(path, json.dumps(about))


def unfitted(
    info: Mapping[str, Any], size: int, attributes: int, config: ShapeConfig
) -> tuple[LinearEncoder, LinearDecoder]:
    """A baseline of the sizes that a checkpoint's `info` tells, for its weights to be put in."""
    shape, texture = info["components"]
    features = int(info.get("features", config.linear.features))
    encoder = LinearEncoder(size, shape, texture, attributes, features)
    return encoder, LinearDecoder(size, encoder.z.out_features, attributes)


def load_trained(out: Path) -> Trained:
    """What a training has learnt so far, from its newest checkpoint.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    checkpoints = list_checkpoints(checkpoint_folder(out))
    if not checkpoints or not (out / FILE).exists():
        raise CheckpointError(
            f"{out} holds no checkpoint of a shape training.", "Train one: aif-train --preset best"
        )
    about = _read(out / FILE)
    groups, info = load_checkpoint(checkpoints[-1])
    try:
        attributes = tuple(about["attributes"])
        frame = Frame(
            np.array(about["mean"], np.float32).reshape(dense.COUNT, 2),
            np.array(about["triangles"], np.int32),
        )
        size = int(about["size"])
        config = ShapeConfig.from_dict(about["config"])
        encoder, decoder = beginning(unfitted(info, size, len(attributes), config), attributes, config)
        encoder.load_state_dict(groups["ema_encoder"])
        decoder.load_state_dict(groups["ema_decoder"])
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{checkpoints[-1]} does not fit {FILE} ({error}).") from error
    return Trained(
        encoder.eval().requires_grad_(False),
        decoder.eval().requires_grad_(False),
        frame,
        attributes,
        size,
        config,
        int(info["step"]),
        about["data"],
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}).") from error
