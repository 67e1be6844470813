"""Checkpoints of the landmark network, and the graph that a bundle carries."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from aif.runtime.errors import CheckpointError
from aif.runtime.files import replacing
from aif.train.landmarks.network import LandmarkConfig, LandmarkNet
from aif.train.small_graphs import export_small


def save_landmarks(path: Path, network: nn.Module, config: LandmarkConfig) -> None:
    """Write weights and configuration (safetensors), beside their place and renamed."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with replacing(path) as part:
        save_file(weights, part, {"config": json.dumps(asdict(config))})


def load_landmarks(checkpoint: Path) -> tuple[LandmarkNet, LandmarkConfig]:
    """The network in evaluation mode, and its configuration.

    Raises:
        CheckpointError: the file is missing, damaged or no landmark checkpoint.
    """
    try:
        with safe_open(checkpoint, framework="pt") as file:
            names, notes = file.keys(), file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in names}
        values = json.loads(notes["config"])
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        config = LandmarkConfig(**settings)
        network = LandmarkNet(config)
        network.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint} is no readable landmark checkpoint ({error}).") from error
    return network.eval(), config


class _Exported(nn.Module):
    """The network as the bundle carries it: a probability in place of the logit."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        points, pose, logit = self.network(image)
        return points, pose, logit.sigmoid()


def export_landmarks(checkpoint: Path, path: Path) -> float:
    """Write the graph `image (N, 3, S, S) -> landmarks (N, 221, 2), pose (N, 3), confidence (N,)`.

    Large weights are stored as float16.

    Returns:
        The largest difference from PyTorch: points in fractions of the side, pose in degrees, confidence.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ExportError: ONNX Runtime and PyTorch differ too much (by 0.002 of the side, 0.2 degrees, or 0.002 in
            the confidence); nothing is written then.
    """
    network, config = load_landmarks(checkpoint)
    return export_small(
        _Exported(network),
        (3, config.input_size, config.input_size),
        ["landmarks", "pose", "confidence"],
        path,
        limit=(1e-4, 1e-2, 1e-4),
        half_limit=(2e-3, 0.2, 2e-3),
    )
