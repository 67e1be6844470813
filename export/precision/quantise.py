"""INT8 graphs: static quantisation with QuantizeLinear and DequantizeLinear pairs, ranges from real faces."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from aif.runtime.errors import ExportError

METHOD = (
    "static QDQ of convolutions and what stands between them, all else in float32; "
    "int8 weights per channel, uint8 activations per tensor, range: 99.999th percentile"
)

# Convolutions, and what stands between them, so that no value changes its type on the way. Fully connected
# layers stay in float: quantised they save little time and add a fifth to the picture's error.
QUANTISED = ("Conv", "Add", "Relu", "Resize", "AveragePool")

CONVOLUTIONS = ("Conv", "Relu")
"""Of models with shape nothing else: what they add and resize besides are landmarks and textures."""

Feeds = Mapping[str, npt.NDArray[np.float32]]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration inputs, a face at a time, once."""

    def __init__(self, feeds: Feeds) -> None:
        count = len(next(iter(feeds.values())))
        faces = ({name: values[k : k + 1] for name, values in feeds.items()} for k in range(count))
        self._faces: Iterator[dict[str, npt.NDArray[np.float32]]] = faces

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        return next(self._faces, None)


def convolutions(graph: bytes) -> tuple[str, ...]:
    """Names of the nodes that would be quantised and hold weights, first to last."""
    return tuple(n.name for n in onnx.load_from_string(graph).graph.node if n.op_type == "Conv")


def quantise(
    graph: bytes, feeds: Feeds, float_layers: Collection[str] = (), kinds: Collection[str] = QUANTISED
) -> bytes:
    """Quantise a graph; ExportError where ONNX Runtime cannot.

    Args:
        feeds: inputs to find the ranges of all activations with, by name, each (N, ...).
        float_layers: nodes to leave as they are.
    """
    try:
        with tempfile.TemporaryDirectory() as folder, _quiet():
            place = Path(folder) / "graph.onnx"
            quantize_static(
                onnx.load_from_string(graph),
                place,
                _Reader(feeds),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(kinds),
                nodes_to_exclude=list(float_layers),
                per_channel=True,
                # Processors multiply uint8 by int8; int8 by int8 is slower than FP32 on x86.
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.Percentile,
            )
            return place.read_bytes()
    except (ValueError, RuntimeError, OSError) as error:
        raise ExportError(f"The graph could not be quantised: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime prints its progress, and advises a preparation that exported graphs do not need.

    Its advice, given through the root logger, would also add a handler there that says everything twice.
    """
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers
