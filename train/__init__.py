"""Data, networks, objectives, the training loop and evaluation (PyTorch)."""

import aif.runtime  # noqa: F401 - before ONNX Runtime, whose telemetry it turns off
