"""A run's folder: config.json, data.json, checkpoints/, metrics.jsonl, tensorboard/, samples/."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aif.runtime.errors import CheckpointError, ConfigError
from aif.runtime.files import write_text
from aif.train.config import Precision, TrainConfig, from_dict, to_dict
from aif.train.data.base import FaceDataset
from aif.train.networks.modules import Encoder, Networks
from aif.train.training.checkpoint import list_checkpoints, load_checkpoint


@dataclass(frozen=True)
class TrainedRun:
    """Encoder and decoder of a run as they are exported (moving average if there is one), in eval mode.

    data_name, data_fingerprint: of the training faces; step, faces_seen: how long it was trained.
    """

    config: TrainConfig
    encoder: Encoder
    decoder: nn.Module
    step: int
    faces_seen: int
    data_name: str
    data_fingerprint: str


# What a run that has not reached its first checkpoint leaves behind.
_OURS = {"config.json", "data.json", "checkpoints", "samples", "metrics.jsonl", "tensorboard"}


def checkpoint_folder(out: Path) -> Path:
    """Where a run's checkpoints lie."""
    return out / "checkpoints"


def networks_of(config: TrainConfig) -> Networks:
    """The four networks of a configuration, with random weights."""
    return Networks(config.network, len(config.data.attributes), config.discriminator_predicts_y)


def exported(networks: Networks) -> nn.ModuleDict:
    """Encoder and decoder, which are averaged and exported, under the names that checkpoints use."""
    return nn.ModuleDict({"encoder": networks.encoder, "decoder": networks.decoder})


def _holds_run(out: Path) -> bool:
    return (out / "config.json").exists() and bool(list_checkpoints(checkpoint_folder(out)))


def stored_precision(out: Path) -> Precision | None:
    """The precision of the run in the folder, None where there is no checkpoint of one."""
    return read_config(out).precision if _holds_run(out) else None


def prepare_run(config: TrainConfig, out: Path, data: FaceDataset) -> None:
    """Make the run's folder, or check that the run in it is this one.

    Only `steps` and the place of the data may differ.

    Raises:
        ConfigError: the folder holds a run of another configuration or of other data, or the data have other
            attributes than the configuration names.
    """
    if tuple(data.attributes) != config.data.attributes:
        raise ConfigError(
            f"The data have the attributes {', '.join(data.attributes)}, the configuration names "
            f"{', '.join(config.data.attributes)}."
        )
    wanted = to_dict(config)
    if _holds_run(out):
        there = to_dict(read_config(out))  # settings that are newer than the run take their defaults
        if different := sorted(_differences(there, wanted) - {"steps", "data.path"}):
            raise ConfigError(
                f"{out} holds a run of another configuration (different: {', '.join(different)}).",
                "Choose another --out, or give the same options to resume that run.",
            )
        if _read(out / "data.json")["fingerprint"] != data.fingerprint:
            raise ConfigError(f"{out} holds a run that was trained on other data.", "Choose another --out.")
    elif out.exists() and {one.name for one in out.iterdir() if not one.name.startswith(".")} - _OURS:
        raise ConfigError(f"{out} is not empty and holds no run.", "Choose another --out.")
    about = {"name": data.name, "fingerprint": data.fingerprint, "faces": len(data)}
    for name, values in (("data.json", about), ("config.json", wanted)):
        write_text(out / name, json.dumps(values, indent=2) + "\n")


def read_config(out: Path) -> TrainConfig:
    """The configuration of the run in the folder.

    Raises:
        CheckpointError: it cannot be read, or has settings that this version does not know.
    """
    path = out / "config.json"
    try:
        return from_dict(_read(path))
    except ConfigError as error:
        raise CheckpointError(
            f"{path} is not a configuration of this version of aif: {error.message}",
            "Another version made the run, probably a newer one: pip install -U aif. Or train it again.",
        ) from error


def load_run(out: Path) -> TrainedRun:
    """Load what a run has learnt so far from its newest checkpoint, on the CPU.

    Raises:
        CheckpointError: there is no run, or no whole checkpoint, in the folder.
    """
    if not (out / "config.json").exists():
        raise CheckpointError(
            f"{out} is not a training run (it has no config.json).", "Train one: aif-train --out DIR"
        )
    config = read_config(out)
    found = list_checkpoints(checkpoint_folder(out))
    if not found:
        raise CheckpointError(f"{out} has no checkpoint yet.", "Let the training reach its first checkpoint.")
    groups, info = load_checkpoint(found[-1])
    networks = networks_of(config)
    try:
        networks.load_state_dict(groups["networks"])
        if "ema" in groups:
            exported(networks).load_state_dict(groups["ema"])
    except RuntimeError as error:
        raise CheckpointError(f"{found[-1]} does not fit {out / 'config.json'}: {error}") from error
    networks.eval().requires_grad_(False)
    about = _read(out / "data.json")
    return TrainedRun(
        config=config,
        encoder=networks.encoder,
        decoder=networks.decoder.to(memory_format=torch.contiguous_format),
        step=int(info["step"]),
        faces_seen=int(info["faces_seen"]),
        data_name=about["name"],
        data_fingerprint=about["fingerprint"],
    )


def _differences(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key in a.keys() | b.keys():
        one, other = a.get(key), b.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            found |= _differences(one, other, f"{prefix}{key}.")
        elif json.dumps(one) != json.dumps(other):  # a tuple is a list there
            found.add(f"{prefix}{key}")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}).") from error
    return values
