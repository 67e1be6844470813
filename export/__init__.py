"""From a training run to a deployable bundle."""

import aif.runtime  # noqa: F401 - before ONNX Runtime, whose telemetry it turns off
