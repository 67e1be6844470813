"""A run's networks twice, for benchmarks on the same weights: its exported graphs, and PyTorch eager."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from aif.export.bundle import parity_crops
from aif.export.graphs import DecoderGraph, EncoderGraph, ExportedGraphs, export_graphs
from aif.export.parity import check_parity
from aif.runtime.align import Float32Array
from aif.runtime.bench_networks import Call, OnnxNetworks
from aif.runtime.benchmark import Setup
from aif.runtime.bundle import Bundle
from aif.runtime.errors import AifError, ConfigError
from aif.train.data.synthetic import SyntheticFaces
from aif.train.run import load_run


class EagerNetworks:
    """What the graphs compute, in PyTorch eager on the processor, without gradients.

    Attributes:
        precision: always "fp32".
    """

    precision = "fp32"

    def __init__(self, encoder: torch.nn.Module, decoder: torch.nn.Module) -> None:
        """Wrap networks in eval mode, called as `EncoderGraph` and `DecoderGraph`."""
        self._encoder, self._decoder = encoder, decoder

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


class CompiledNetworks(EagerNetworks):
    """The same through torch.compile, compiled anew for each batch size and number of threads."""

    def calls(self, images_nchw: Float32Array, threads: int) -> tuple[Call, Call]:
        """As `Networks.calls`; compiles both, which takes its time.

        Raises:
            AifError: they cannot be compiled here.
        """
        torch.compiler.reset()  # what was compiled for another batch is not asked for again
        torch.set_num_threads(threads)  # is written into what is compiled
        encoder: Any = torch.compile(self._encoder, dynamic=False)
        decoder: Any = torch.compile(self._decoder, dynamic=False)
        try:
            encode, decode = EagerNetworks(encoder, decoder).calls(images_nchw, threads)
            decode()
        except Exception as error:  # the compiler's errors have no common base
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise AifError(
                f"torch.compile does not work here: {reason}",
                "Install a C++ compiler, or leave out --compile.",
            ) from error
        return encode, decode


@dataclass(frozen=True)
class RunNetworks:
    """A run for a benchmark.

    Attributes:
        image_size: side of a face crop in pixels.
        step: how long it was trained.
        difference: largest difference between graphs and networks on drawn faces, as `Parity.worst`.
        eager, compiled: the networks in PyTorch.
    """

    image_size: int
    step: int
    difference: float
    eager: EagerNetworks
    compiled: CompiledNetworks
    graphs: ExportedGraphs

    def onnx(self, setup: Setup) -> dict[str, OnnxNetworks]:
        """The exported graphs in a setup, as "aif"."""
        graphs = self.graphs
        return {"aif": OnnxNetworks(graphs.encoder, graphs.decoder, graphs.features, setup)}


def load_run_networks(folder: Path, bundle: Bundle | None = None) -> RunNetworks:
    """The newest checkpoint of a run and its FP32 graphs, compared with each other.

    Args:
        folder: of the run.
        bundle: holds the run's graphs; None = they are exported, in memory.

    Raises:
        CheckpointError: there is no run, or no whole checkpoint, in the folder.
        ExportError: the graphs do not compute what the network does.
        ConfigError: the bundle holds other weights, or no FP32 graphs.
    """
    run = load_run(folder)
    if bundle is None:
        graphs = export_graphs(run, "{}")
    else:
        parts = bundle.graph_bytes("fp32", "encoder"), bundle.graph_bytes("fp32", "decoder")
        graphs = ExportedGraphs(*parts, bundle.manifest.features)
    size = run.config.network.image_size
    try:
        parity = check_parity(run, graphs, parity_crops(SyntheticFaces(16), size))
    except AifError as error:
        if bundle is None:
            raise
        raise ConfigError(
            f"{bundle.path} was not exported from the newest checkpoint of {folder}: {error.message}",
            "Export it again (aif-export), or name another bundle.",
        ) from error
    worst = max(each.worst for each in parity)
    pair = EncoderGraph(run).eval(), DecoderGraph(run).eval()
    return RunNetworks(size, run.step, worst, EagerNetworks(*pair), CompiledNetworks(*pair), graphs)
