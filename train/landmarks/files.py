"""Checkpoints of the landmark network, and the graph that a bundle carries."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from aif.runtime.errors import CheckpointError, ExportError
from aif.runtime.files import replacing, write_bytes
from aif.train.landmarks.network import LandmarkConfig, LandmarkNet
from aif.train.small_graphs import forget_origin

PARITY_LIMIT, HALF_LIMIT = 1e-4, 2e-3
"""Largest difference of the graph from PyTorch (fractions of the side, probability, degrees / 100) as
exported, and after its weights are stored as float16."""


def save_landmarks(path: Path, network: nn.Module, config: LandmarkConfig) -> None:
    """Write weights and configuration (safetensors), beside their place and renamed."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    _write(path, weights, {"config": json.dumps(asdict(config))})


def load_landmarks(checkpoint: Path) -> tuple[LandmarkNet, LandmarkConfig]:
    """The network in evaluation mode, and its configuration.

    Raises:
        CheckpointError: the file is missing, damaged or no landmark checkpoint.
    """
    try:
        weights, notes = _read(checkpoint)
        config = _configuration(notes["config"])
        network = LandmarkNet(config)
        network.load_state_dict(weights)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint} is no readable landmark checkpoint ({error}).") from error
    return network.eval(), config


def write_resume(
    out: Path,
    config: LandmarkConfig,
    step: int,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write all that training needs to go on after `step`, beside the checkpoint `out`."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for number, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
    contiguous = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    _write(resume_file(out), contiguous, {"config": json.dumps(asdict(config)), "step": str(step)})


def read_resume(
    out: Path,
    config: LandmarkConfig,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> int:
    """Take up what `write_resume` left beside `out`; returns the steps done, 0 where there is nothing.

    Raises:
        CheckpointError: the file is damaged or of another shape.
    """
    path = resume_file(out)
    if not path.is_file():
        return 0
    try:
        tensors, notes = _read(path)
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        was = _configuration(notes["config"])
        if was.shape != config.shape:
            raise ValueError(f"of another shape: {was.shape}")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            number, _, rest = name.partition(".")
            state.setdefault(int(number), {})[rest] = value
        network.load_state_dict(parts["network"])
        average.load_state_dict(parts["average"])
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        return int(notes["step"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"Training cannot go on from {path} ({error}).", "Remove the file to begin anew."
        ) from error


def resume_file(out: Path) -> Path:
    """Where training keeps what it needs to go on."""
    return out.with_name(out.name + ".resume")


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

    Weights are stored as float16 and become float32 when the graph is loaded: half the size, the same speed.

    Returns:
        The largest difference from PyTorch (see `PARITY_LIMIT` for units).

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ExportError: ONNX Runtime and PyTorch differ by more than the limits; nothing is written then.
    """
    network, config = load_landmarks(checkpoint)
    module = _Exported(network).eval()
    size = config.input_size
    program = torch.onnx.export(
        module,
        (torch.rand(2, 3, size, size),),
        dynamo=True,
        opset_version=20,
        input_names=["image"],
        output_names=["landmarks", "pose", "confidence"],
        dynamic_shapes={"image": {0: torch.export.Dim("N", min=1)}},
        verbose=False,
    )
    if program is None:
        raise ExportError("torch.onnx.export gave no program.")
    model = program.model_proto
    forget_origin(model.graph)
    _check(model, module, size, PARITY_LIMIT)
    _store_as_half(model.graph)
    onnx.checker.check_model(model, full_check=True)
    error = _check(model, module, size, HALF_LIMIT)
    write_bytes(path, model.SerializeToString())
    return error


def _check(model: onnx.ModelProto, module: nn.Module, size: int, limit: float) -> float:
    """The graph's largest difference from PyTorch on random images; an ExportError above the limit."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    error = 0.0
    for count in (1, 3, 16):
        image = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(count))
        with torch.no_grad():
            expected = [tensor.numpy() for tensor in module(image)]
        given = session.run(["landmarks", "pose", "confidence"], {"image": image.numpy()})
        for unit, g, e in zip((1, 100, 1), given, expected, strict=True):
            error = max(error, float(np.abs(g - e).max()) / unit)
    if not error <= limit:
        raise ExportError(f"The exported landmark network differs from PyTorch by {error:.2g}.")
    return error


def _store_as_half(graph: onnx.GraphProto, smallest: int = 1024) -> None:
    """Large float32 constants become float16, each with a cast back that the runtime folds when it loads."""
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < smallest:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _configuration(text: str) -> LandmarkConfig:
    values = json.loads(text)
    lists = {name: tuple(values[name]) for name in ("widths", "depths")}
    return LandmarkConfig(**{**values, **lists})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, file.metadata() or {}


def _write(path: Path, tensors: dict[str, Tensor], notes: dict[str, str]) -> None:
    with replacing(path) as part:
        save_file(tensors, part, notes)
