"""The gate of every export: the graphs must compute what the trained network computes, on real faces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
import torch

from aif.export.graphs.exportable import ExportableModel
from aif.export.graphs.faces import Faces
from aif.export.graphs.graphs import DecoderGraph, EncoderGraph, ExportedGraphs
from aif.export.graphs.stored import large_weights, store_as_half
from aif.runtime.arrays import Float32Array
from aif.runtime.errors import ExportError
from aif.runtime.networks.sessions import Session

BATCHES = (1, 3, 16)
TOLERANCE = 1e-4
SHAPED: Mapping[str, float] = MappingProxyType({"z": 1e-3, "y": 1e-3})
"""For models with shape: z sums over thousands of pixels, which every library does in an order of its own."""
STORED: Mapping[str, float] = MappingProxyType({**SHAPED, "image": 1e-3})
"""What weights that are stored as float16 may cost; landmarks nothing: they keep the tolerance above."""


@dataclass(frozen=True)
class Parity:
    """Largest absolute differences at one batch size; z relative to its largest magnitude,
    landmarks in units of the crop's side."""

    batch: int
    z: float
    y: float
    image: float
    landmarks: float = 0.0

    @property
    def worst(self) -> float:
        """The largest of them; NaN where one is NaN."""
        return float(np.max(list(self.figures().values())))  # NaN wins

    def figures(self) -> dict[str, float]:
        """Name to difference."""
        return {name: value for name, value in asdict(self).items() if name != "batch"}


def check_parity(
    model: ExportableModel,
    graphs: ExportedGraphs,
    faces: Faces,
    tolerance: float = TOLERANCE,
    more: Mapping[str, float] = MappingProxyType({}),
) -> list[Parity]:
    """Compare the graphs (ONNX Runtime, CPU) with the networks (PyTorch, float32) at batches 1, 3 and 16.

    Args:
        faces: at least 16.
        tolerance: of every difference that `more` does not name.
        more: tolerances by name: `SHAPED` or `STORED`.

    Raises:
        ExportError: a difference is above its tolerance.
    """
    if len(faces) < max(BATCHES):
        raise ExportError(f"The parity check needs {max(BATCHES)} face crops, got {len(faces)}.")
    encoder, decoder = EncoderGraph(model).eval(), DecoderGraph(model).eval()
    sessions = (
        Session(graphs.encoder, "cpu", None, "encoder"),
        Session(graphs.decoder, "cpu", None, "decoder"),
    )
    found = []
    for batch in BATCHES:
        parity = _compare((encoder, decoder), sessions, faces.rows(slice(batch)))
        found.append(parity)
        limits = {name: more.get(name, tolerance) for name in parity.figures()}
        if not all(value <= limits[name] for name, value in parity.figures().items()):
            said = ", ".join(f"{name} {value:.1e}" for name, value in parity.figures().items())
            raise ExportError(
                f"At batch {batch} the exported graphs differ from the network by {parity.worst:.2e} "
                f"({said}); {max(limits.values()):.0e} is allowed.",
                "Nothing was written. Please report this together with the run's configuration.",
            )
    return found


def stored_as_half(model: ExportableModel, graphs: ExportedGraphs, faces: Faces) -> ExportedGraphs:
    """The graphs with large weights stored as float16: one after the other, if it passes with `STORED`."""
    pair = {"encoder": graphs.encoder, "decoder": graphs.decoder}
    for part, plain in list(pair.items()):
        chosen: list[str] = []
        for name in large_weights(plain):
            smaller = store_as_half(plain, [*chosen, name])
            try:
                check_parity(model, ExportedGraphs(**{**pair, part: smaller}), faces, more=STORED)
            except ExportError:
                continue
            chosen.append(name)
            pair[part] = smaller
    return ExportedGraphs(**pair)


def _compare(
    networks: tuple[EncoderGraph, DecoderGraph],
    sessions: tuple[Session, Session],
    faces: Faces,
) -> Parity:
    """The differences on some faces; both decoders get the network's own z."""
    feeds = faces.feeds()
    with torch.no_grad():
        code, values = networks[0](*(torch.from_numpy(each) for each in feeds.values()))
        z, y = code.numpy(), values.numpy()
        edits = _edits(y)
        wanted = [networks[1](code, torch.from_numpy(edit)) for edit in edits]
    z_graph, y_graph = sessions[0].run(["z", "y"], feeds)
    outputs = list(feeds)  # what goes into the encoder comes out of the decoder
    decoded = [sessions[1].run(outputs, {"z": z, "y": edit}) for edit in edits]
    differences = {
        name: _greatest([(a[k], b[k].numpy()) for a, b in zip(decoded, wanted, strict=True)])
        for k, name in enumerate(outputs)
    }
    return Parity(
        len(faces),
        z=_relative(z_graph, z),
        y=_greatest([(y_graph, y)]),
        **differences,
    )


def _edits(y: Float32Array) -> list[Float32Array]:
    """Values to ask for where y (N, A) was read: all attributes turned round; and one of each face, each time
    another one, with none turned of the faces left over."""
    turned = (y < 0.5).astype(np.float32)
    one = y.copy()
    for face in range(min(y.shape)):
        one[face, face] = turned[face, face]
    return [turned, one]


def _greatest(pairs: list[tuple[Float32Array, Float32Array]]) -> float:
    return float(np.max([np.abs(found - wanted).max() for found, wanted in pairs]))


def _relative(found: Float32Array, wanted: Float32Array) -> float:
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))
