"""Does a provider really compute? A graph of three nodes is run and its result checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aif.runtime.errors import ProviderError
from aif.runtime.networks.providers import LABELS, NAMES, Device
from aif.runtime.networks.sessions import Session

# x (N, 1, 2, 2) -> convolution 1x1 with the weights 1 and -1 -> y = its ReLU + 1, (N, 2, 2, 2). In ONNX's
# protobuf, opset 13, so that any ONNX Runtime in use reads it; a test makes the same bytes again.
TINY_GRAPH = bytes.fromhex(
    "08083a9d010a0f0a01780a01771201632204436f6e760a0c0a0163120172220452656c750a100a01720a036f6e651201"
    "792203416464120474696e792a17080208010801080110014201774a080000803f000080bf2a0f0801100142036f6e65"
    "4a040000803f5a1c0a017812170a15080112110a0312014e0a0208010a0208020a020802621c0a017912170a15080112"
    "110a0312014e0a0208020a0208020a02080242040a00100d"
)


@dataclass(frozen=True)
class Probe:
    """Where the graph ran, and how many of its nodes the provider took; None where ONNX Runtime does not
    know.
    """

    device: Device
    nodes: int | None
    total: int | None


def probe_provider(device: Device) -> Probe:
    """Load the graph on a device, run it and check the result.

    Raises:
        ProviderError: the provider is not there, is silently replaced, or computes something else.
    """
    session = Session(TINY_GRAPH, device, 1, "test graph")
    x = np.array([[-2, 0], [1, 3]], dtype=np.float32)
    (y,) = session.run(["y"], {"x": x[None, None]})
    wanted = np.stack([np.maximum(x, 0), np.maximum(-x, 0)])[None] + 1
    if not np.allclose(y, wanted, atol=1e-2):
        raise ProviderError(f"On {LABELS[device]}, ONNX Runtime computes {y.tolist()} for {wanted.tolist()}.")
    placed = session.placed_nodes()
    return Probe(device, placed[NAMES[device]] if placed else None, sum(placed.values()) or None)
