"""The configurations of a Triton repository, read by Triton's own schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

text_format = pytest.importorskip("google.protobuf.text_format")
schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason='needs pip install "aif[triton]"')
GPU, CPU = schema.ModelInstanceGroup.KIND_GPU, schema.ModelInstanceGroup.KIND_CPU


def configs(repository: Path) -> dict[str, Any]:
    """Every configuration, by its model's name."""
    return {
        place.parent.name: text_format.Parse(place.read_text(), schema.ModelConfig())
        for place in sorted(repository.glob("*/config.pbtxt"))
    }
