"""A run's networks twice, for benchmarks on the same weights: its exported graphs, and PyTorch eager."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aif.export.graphs.crops import first_crops
from aif.export.graphs.exportable import ExportableModel, open_exportable
from aif.export.graphs.faces import FaceReader
from aif.export.graphs.files import Graphs
from aif.export.graphs.graphs import DecoderGraph, EncoderGraph, export_graphs
from aif.export.graphs.parity import STORED, check_parity
from aif.runtime.arrays import Float32Array
from aif.runtime.bench.networks import Call, RunNetworks, network_inputs
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import AifError, ConfigError, first_line
from aif.runtime.model.codes import FaceInputs
from aif.train.data.synthetic import SyntheticFaces


class TorchNetworks:
    """What the graphs compute, in PyTorch on the processor: eager, or through torch.compile."""

    precision = "fp32"

    def __init__(self, model: ExportableModel, compiled: bool = False) -> None:
        """Use the networks of a run; `compiled` anew for each batch size and number of threads."""
        self._encoder, self._decoder = EncoderGraph(model).eval(), DecoderGraph(model).eval()
        self._shaped, self._compiled = model.frame is not None, compiled

    def calls(self, images_nchw: Float32Array, threads: int) -> tuple[Call, Call]:
        """As `Networks.calls`. The number of threads is PyTorch's own, one for the whole process.

        Raises:
            AifError: they cannot be compiled here.
        """
        seen = [torch.from_numpy(each) for each in network_inputs(images_nchw, self._shaped).values()]
        torch.set_num_threads(threads)  # is written into what is compiled
        encoder: Any = self._encoder
        decoder: Any = self._decoder
        if self._compiled:
            torch.compiler.reset()  # what was compiled for another batch is not asked for again
            encoder, decoder = (torch.compile(each, dynamic=False) for each in (encoder, decoder))

        @torch.inference_mode()
        def run(network: Any, *inputs: torch.Tensor) -> Any:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            return network(*inputs)

        try:
            codes = run(encoder, *seen)
            run(decoder, *codes)
        except Exception as error:  # the compiler's errors have no common base
            if not self._compiled:
                raise
            raise AifError(
                f"torch.compile does not work here: {first_line(error)}",
                "Install a C++ compiler, or leave out --compile.",
            ) from error
        return partial(run, encoder, *seen), partial(run, decoder, *codes)


def load_run_networks(folder: Path, bundle: Bundle | None = None) -> RunNetworks:
    """The newest checkpoint of a run and its FP32 graphs, compared with each other.

    Args:
        bundle: holds the run's graphs; None = they are exported, in memory.

    Raises:
        CheckpointError: there is no run, or no whole checkpoint, in the folder.
        ExportError: the graphs do not compute what the network does.
        ConfigError: the bundle holds other weights, or no FP32 graphs.
    """
    model = open_exportable(folder)
    if bundle is None:
        graphs = export_graphs(model, "{}")
    else:
        graphs = Graphs(bundle.graph_bytes("fp32", "encoder"), bundle.graph_bytes("fp32", "decoder"))
    try:
        parity = check_parity(model, graphs, _faces(model), STORED if model.frame is not None else None)
    except AifError as error:
        if bundle is None:
            raise
        raise ConfigError(
            f"{bundle.path} was not exported from the newest checkpoint of {folder}: {error.message}",
            "Export it again (aif-export), or name another bundle.",
        ) from error
    worst = max(each.worst for each in parity)
    rivals = TorchNetworks(model), TorchNetworks(model, compiled=True)
    pair = graphs.encoder, graphs.decoder
    return RunNetworks(model.image_size, model.provenance.steps, worst, *rivals, pair)


def _faces(model: ExportableModel) -> FaceInputs:
    """Sixteen synthetic faces; with shape, the mean shape moved a little is landmarks enough."""
    crops = first_crops(SyntheticFaces(16), FaceReader(model.image_size))
    if model.frame is None:
        return crops
    noise = np.random.default_rng(0).normal(0, 0.01, (len(crops), *model.frame.mean.shape))
    return FaceInputs(crops.images, (model.frame.mean + noise).astype(np.float32))
