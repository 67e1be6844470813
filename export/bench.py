"""A run's networks twice, for benchmarks on the same weights: its exported graphs, and PyTorch eager."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from aif.export.bundle import parity_crops
from aif.export.graphs import DecoderGraph, EncoderGraph, ExportedGraphs, export_graphs
from aif.export.parity import check_parity
from aif.runtime.align import Float32Array
from aif.runtime.bench_networks import Call, OnnxNetworks
from aif.runtime.benchmark import Setup
from aif.train.data.synthetic import SyntheticFaces
from aif.train.run import TrainedRun, load_run


class EagerNetworks:
    """What the graphs compute, in PyTorch eager on the processor, without gradients.

    Attributes:
        precision: always "fp32".
    """

    precision = "fp32"

    def __init__(self, run: TrainedRun) -> None:
        """Wrap the networks of a run, which are in eval mode."""
        self._encoder, self._decoder = EncoderGraph(run).eval(), DecoderGraph(run).eval()

    def calls(self, images_nchw: Float32Array, threads: int) -> tuple[Call, Call]:
        """As `Networks.calls`. The number of threads is PyTorch's own, one for the whole process."""
        images = torch.from_numpy(images_nchw)

        @torch.inference_mode()
        def run(network: torch.nn.Module, *inputs: torch.Tensor) -> object:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            return network(*inputs)

        codes: tuple[torch.Tensor, ...] = run(self._encoder, images)  # type: ignore[assignment]
        return partial(run, self._encoder, images), partial(run, self._decoder, *codes)


@dataclass(frozen=True)
class RunNetworks:
    """A run for a benchmark.

    Attributes:
        image_size: side of a face crop in pixels.
        step: how long it was trained.
        difference: largest difference between graphs and networks on drawn faces, as `Parity.worst`.
        eager: the networks in PyTorch.
    """

    image_size: int
    step: int
    difference: float
    eager: EagerNetworks
    graphs: ExportedGraphs

    def onnx(self, setup: Setup) -> OnnxNetworks:
        """The exported graphs in a setup."""
        return OnnxNetworks(self.graphs.encoder, self.graphs.decoder, self.graphs.features, setup)


def load_run_networks(folder: Path) -> RunNetworks:
    """The newest checkpoint of a run, exported in memory and compared with the network it came from.

    Raises:
        CheckpointError: there is no run, or no whole checkpoint, in the folder.
        ExportError: the graphs do not compute what the network does.
    """
    run = load_run(folder)
    graphs = export_graphs(run, "{}")
    size = run.config.network.image_size
    parity = check_parity(run, graphs, parity_crops(SyntheticFaces(16), size))
    return RunNetworks(size, run.step, max(each.worst for each in parity), EagerNetworks(run), graphs)
