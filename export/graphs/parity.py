"""The gate of every export: the graphs must compute what the trained network computes, on real faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from aif.export.graphs.exportable import ExportableModel
from aif.export.graphs.files import Graphs
from aif.export.graphs.graphs import DecoderGraph, EncoderGraph
from aif.export.graphs.stored import large_weights, store_as_half
from aif.runtime.arrays import Float32Array
from aif.runtime.errors import ExportError
from aif.runtime.model.codes import Decoded, FaceInputs
from aif.runtime.model.gate import flipped

BATCHES = (1, 3, 16)

PLAIN: Mapping[str, float] = {"z": 1e-4, "y": 1e-4, "image": 1e-4}
SHAPED: Mapping[str, float] = {"z": 5e-3, "y": 1e-3, "image": 1e-4, "landmarks": 1e-4, "detail": 1e-4}
"""For models with shape: z, of unit variance, sums over thousands of pixels, which every library does in an
order of its own; from few training faces some of its components are tiny differences of large sums."""
STORED: Mapping[str, float] = {**SHAPED, "image": 1e-3, "detail": 1e-3}
"""What weights that are stored as float16 may cost; landmarks nothing."""


@dataclass(frozen=True)
class Parity:
    """Largest absolute differences at one batch size, by name: z relative to its largest magnitude,
    landmarks in units of the crop's side."""

    batch: int
    differences: Mapping[str, float]

    @property
    def worst(self) -> float:
        """The largest of them; NaN where one is NaN."""
        return float(np.max(list(self.differences.values())))  # NaN wins


def check_parity(
    model: ExportableModel, graphs: Graphs, faces: FaceInputs, limits: Mapping[str, float] | None = None
) -> tuple[Parity, ...]:
    """Compare the graphs (ONNX Runtime, CPU) with the networks (PyTorch, float32) at batches 1, 3 and 16.

    Args:
        faces: at least 16.
        limits: what is allowed by name; None = `SHAPED` for models with shape, else `PLAIN`.

    Raises:
        ExportError: a difference is above its limit.
    """
    if limits is None:
        limits = PLAIN if model.frame is None else SHAPED
    if len(faces) < max(BATCHES):
        raise ExportError(f"The parity check needs {max(BATCHES)} face crops, got {len(faces)}.")
    networks = EncoderGraph(model).eval(), DecoderGraph(model).eval()
    sessions = graphs.sessions()
    found = []
    for batch in BATCHES:
        feeds = faces.rows(slice(batch)).feeds()
        with torch.no_grad():
            z, y = networks[0](*map(torch.from_numpy, feeds.values()))
            values = y.numpy()
            edits = [(values < 0.5).astype(np.float32), flipped(values)]  # all attributes, and each alone
            wanted = [networks[1](z, torch.from_numpy(edit)) for edit in edits]
        z_graph, y_graph = sessions[0].run(["z", "y"], feeds)
        outputs = list(Decoded.names(model.frame is not None))
        decoded = [sessions[1].run(outputs, {"z": z.numpy(), "y": edit}) for edit in edits]
        size = max(1.0, float(z.abs().max()))
        differences = {"z": _greatest(z_graph, z) / size, "y": _greatest(y_graph, y)}
        for k, name in enumerate(outputs):
            pairs = zip(decoded, wanted, strict=True)
            differences[name] = float(np.max([_greatest(a[k], b[k]) for a, b in pairs]))
        parity = Parity(batch, differences)
        found.append(parity)
        if not all(value <= limits[name] for name, value in differences.items()):
            said = ", ".join(f"{name} {value:.1e}" for name, value in differences.items())
            raise ExportError(
                f"At batch {batch} the exported graphs differ from the network by {parity.worst:.2e} "
                f"({said}); {max(limits.values()):.0e} is allowed.",
                "Nothing was written. Please report this together with the run's configuration.",
            )
    return tuple(found)


def stored_as_half(model: ExportableModel, graphs: Graphs, faces: FaceInputs) -> Graphs:
    """The graphs with large weights stored as float16: one after the other, if it passes with `STORED`."""
    pair = graphs.parts()
    for part, plain in graphs.parts().items():
        chosen: list[str] = []
        for name in large_weights(plain):
            smaller = store_as_half(plain, [*chosen, name])
            try:
                check_parity(model, Graphs(**{**pair, part: smaller}), faces, STORED)
            except ExportError:
                continue
            chosen.append(name)
            pair[part] = smaller
    return Graphs(**pair)


def _greatest(found: Float32Array, wanted: torch.Tensor) -> float:
    return float(np.abs(found - wanted.numpy()).max())
