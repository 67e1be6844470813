"""Lightning Fabric for a run: devices, processes, and the arithmetic that suits the machine."""

from __future__ import annotations

import os
from typing import Literal

import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException

from aif.runtime.errors import ConfigError
from aif.train.config import Precision, TrainConfig
from aif.train.networks.blocks import bf16_pays


def resolve_precision(precision: Precision, accelerator: str) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """What "auto" is on this machine: bf16-mixed on cards and processors that multiply bfloat16 numbers, else
    32-true. Any other precision is returned as it is.

    accelerator: Lightning's name: auto, cpu, cuda (or gpu), mps.
    """
    if precision != "auto":
        return precision
    on_card = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    pays = accelerator != "mps" and bf16_pays("cuda" if on_card else "cpu")
    return "bf16-mixed" if pays else "32-true"


def start_fabric(config: TrainConfig, accelerator: str, devices: int | str, nodes: int) -> Fabric:
    """A running Fabric with the configuration's precision.

    Raises:
        ConfigError: the devices cannot be used, or they do not fit what torchrun started or the batch size.
    """
    precision = resolve_precision(config.precision, accelerator)
    if precision == "16-mixed" and accelerator == "cpu":
        raise ConfigError("16-mixed needs a GPU.", "On the CPU use --precision auto.")
    try:
        fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, precision=precision)
        fabric.launch()
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise ConfigError(
            f"The devices cannot be used: {error}", "See --accelerator and --devices."
        ) from error
    if fabric.device.type == "cuda":  # pictures of one size: let cuDNN look for its fastest convolutions
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if fabric.world_size != started:
        raise ConfigError(
            f"torchrun started {started} processes, --devices and --nodes ask for {fabric.world_size}.",
            "Give --devices the processes of one machine, and --nodes the number of machines.",
        )
    if config.optimiser.batch_size % fabric.world_size:
        raise ConfigError(
            f"{config.optimiser.batch_size} faces a step do not divide by {fabric.world_size} processes."
        )
    return fabric
