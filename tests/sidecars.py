"""Sidecars of engines that nobody built."""

from __future__ import annotations

import hashlib
from typing import Any

from aif.runtime.tensorrt.sidecar import Machine, Sidecar

HERE = Machine("11.3.0.14", "9.0", "NVIDIA H100", "linux-x86_64")
GRAPH = "a" * 64


def sidecar(engine: bytes = b"plan", **changes: Any) -> Sidecar:
    """Of an engine that was built `HERE` from the graph `GRAPH`."""
    facts: dict[str, Any] = {
        "part": "encoder",
        "precision": "fp16",
        "file": "encoder.fp16.trt11.3.0.14.sm90.engine",
        "bytes": len(engine),
        "sha256": hashlib.sha256(engine).hexdigest(),
        "onnx_sha256": GRAPH,
        "inputs": {"image": (3, 64, 64)},
        "outputs": {"z": (128,)},
        "profile": {"min": 1, "opt": 2, "max": 16},
        **vars(HERE),
        "gate": {"z": 0.001},
        "limits": {"z": 0.005},
        "gated_on": "faces",
        "gated_faces": 16,
        "aif": "0.1.0",
    }
    return Sidecar.model_validate(facts | changes)
