"""The gate of every export: the graphs must compute what the trained network computes, on real crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from aif.export.graphs import DecoderGraph, EncoderGraph, ExportedGraphs
from aif.runtime.errors import ExportError
from aif.runtime.sessions import Session
from aif.train.run import TrainedRun

BATCHES = (1, 3, 16)
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Parity:
    """Largest absolute differences at one batch size; z and features relative to their largest magnitude."""

    batch: int
    z: float
    y: float
    features: float
    image: float

    @property
    def worst(self) -> float:
        return float(np.max([self.z, self.y, self.features, self.image]))  # NaN wins


def check_parity(
    run: TrainedRun,
    graphs: ExportedGraphs,
    crops_nchw: npt.NDArray[np.float32],
    tolerance: float = TOLERANCE,
) -> list[Parity]:
    """Compare the graphs (ONNX Runtime, CPU) with the networks (PyTorch, float32) at batches 1, 3 and 16.

    Args:
        crops_nchw: at least 16 real crops in [0, 1], (N, 3, S, S).

    Raises:
        ExportError: a difference is above `tolerance`.
    """
    if len(crops_nchw) < max(BATCHES):
        raise ExportError(f"The parity check needs {max(BATCHES)} face crops, got {len(crops_nchw)}.")
    encoder, decoder = EncoderGraph(run).eval(), DecoderGraph(run).eval()
    encoder_session = Session(graphs.encoder, "cpu", None, "encoder")
    decoder_session = Session(graphs.decoder, "cpu", None, "decoder")
    found = []
    for batch in BATCHES:
        image = np.ascontiguousarray(crops_nchw[:batch])
        with torch.no_grad():
            code = encoder(torch.from_numpy(image))
            z, y, *features = (tensor.numpy() for tensor in code)
            edits = _edits(y)
            wanted = [decoder(code[0], torch.from_numpy(edit), *code[2:]).numpy() for edit in edits]
        z_graph, y_graph, *feature_graphs = encoder_session.run(
            ["z", "y", *graphs.features], {"image": image}
        )
        feeds = {"z": z, **dict(zip(graphs.features, features, strict=True))}
        images = [decoder_session.run(["image"], {**feeds, "y": edit})[0] for edit in edits]
        parity = Parity(
            batch,
            z=_relative(z_graph, z),
            y=float(np.abs(y_graph - y).max()),
            features=float(np.max([0.0, *map(_relative, feature_graphs, features)])),
            image=float(np.max([np.abs(a - b).max() for a, b in zip(images, wanted, strict=True)])),
        )
        found.append(parity)
        if not parity.worst <= tolerance:
            raise ExportError(
                f"At batch {batch} the exported graphs differ from the network by {parity.worst:.2e} "
                f"(z {parity.z:.1e}, y {parity.y:.1e}, features {parity.features:.1e}, "
                f"image {parity.image:.1e}); {tolerance:.0e} is allowed.",
                "Nothing was written. Please report this together with the run's config.json.",
            )
    return found


def _edits(y: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """Values to ask for where y (N, A) was read: all attributes turned round; and one of each face, each time
    another one, with none turned of the faces left over."""
    turned = (y < 0.5).astype(np.float32)
    one = y.copy()
    for face in range(min(y.shape)):
        one[face, face] = turned[face, face]
    return [turned, one]


def _relative(found: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> float:
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))
