"""Serve a model repository from Python with PyTriton, where there is no Triton with ONNX Runtime's backend.

python -m venv triton && triton/bin/pip install nvidia-pytriton onnxruntime
triton/bin/python serve_pytriton.py model_repository     # what `aif export-serving triton` wrote

PyTriton asks for NumPy 1 and aif for NumPy 2, so this needs an environment of its own, without aif. Ensembles
are left out: PyTriton serves functions. Names, shapes and batches are those of each config.pbtxt.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig, TritonLifecyclePolicy
from tritonclient.grpc import model_config_pb2

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is imported
import onnxruntime


def networks(repository: Path) -> list[tuple[Any, Path]]:
    """Configuration and graph of every ONNX network in the repository."""
    found = []
    for place in sorted(repository.glob("*/config.pbtxt")):
        config = text_format.Parse(place.read_text(), model_config_pb2.ModelConfig())
        if config.backend == "onnxruntime":
            found.append((config, place.parent / "1" / config.default_model_filename))
    return found


def bind(triton: Triton, config: Any, graph: Path) -> None:
    """Make one network a model of the server."""
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    names = [each.name for each in config.output]

    @batch
    def run(**inputs: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, inputs)))  # noqa: B905 - as long as each other

    batching = config.dynamic_batching
    batcher = DynamicBatcher(
        max_queue_delay_microseconds=batching.max_queue_delay_microseconds,
        preferred_batch_size=list(batching.preferred_batch_size) or None,
    )
    triton.bind(
        config.name,
        run,
        [Tensor(name=each.name, dtype=np.float32, shape=tuple(each.dims)) for each in config.input],
        [Tensor(name=each.name, dtype=np.float32, shape=tuple(each.dims)) for each in config.output],
        config=ModelConfig(max_batch_size=config.max_batch_size, batcher=batcher),
        strict=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the ONNX networks of a model repository.")
    parser.add_argument("repository", type=Path)
    parser.add_argument("--address", default="127.0.0.1")
    for protocol, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        parser.add_argument(f"--{protocol}-port", type=int, default=port)
    chosen = parser.parse_args()
    ports = {f"{name}_port": getattr(chosen, f"{name}_port") for name in ("http", "grpc", "metrics")}
    address = {"http_address": chosen.address, "grpc_address": chosen.address}
    # Everything is in place before the server starts, so that it loads all networks side by side.
    later = TritonLifecyclePolicy(launch_triton_on_startup=False, local_model_store=True)
    with Triton(config=TritonConfig(**ports, **address), triton_lifecycle_policy=later) as triton:
        for config, graph in networks(chosen.repository):
            bind(triton, config, graph)
        triton.serve()
