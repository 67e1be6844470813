"""Encoder and decoder alone: faces a second by batch size, beside rivals on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Protocol

import numpy as np

from aif.runtime.arrays import Float32Array
from aif.runtime.bench.measure import Rounds, Row, Setup, spread
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import ConfigError, ProviderError
from aif.runtime.geometry.points import COUNT
from aif.runtime.model.model import FaceModel
from aif.runtime.networks.network import Network
from aif.runtime.networks.sessions import Session
from aif.runtime.tensorrt.store import find_engines

BATCHES = (1, 2, 4, 8, 16, 32)
LARGEST_BATCH = 1024

Call = Callable[[], object]


class Networks(Protocol):
    """An encoder and a decoder in one setup."""

    @property
    def precision(self) -> str: ...

    def calls(self, images_nchw: Float32Array, threads: int) -> tuple[Call, Call]:
        """What encodes these images once, and what decodes their codes once."""
        ...


@dataclass(frozen=True)
class OnnxNetworks:
    """Two loaded networks, called as they are: no batch is cut into pieces, but by TensorRT's engines."""

    encoder: Network
    decoder: Network
    features: Sequence[str]
    precision: str = "fp32"

    @classmethod
    def of_graphs(cls, encoder: bytes, decoder: bytes, features: Sequence[str], setup: Setup) -> OnnxNetworks:
        """FP32 graphs on ONNX Runtime; errors as `Session`. Graphs alone have no engines for TensorRT."""
        if setup.provider == "tensorrt":
            fix = "Time a bundle with engines: --bundle"
            raise ProviderError("These graphs have no TensorRT engines.", fix)
        first, second = (
            Session(graph, setup.provider, setup.threads, part)
            for part, graph in (("encoder", encoder), ("decoder", decoder))
        )
        return cls(first, second, features)

    @classmethod
    def of_bundle(cls, bundle: Bundle, setup: Setup, precision: str) -> OnnxNetworks:
        """The networks of one precision, once they have been found to fit the manifest."""
        model = FaceModel(bundle, setup.provider, setup.threads, precision)
        return cls(model.encoder, model.decoder, bundle.manifest.features, precision)

    def calls(self, images_nchw: Float32Array, threads: int) -> tuple[Call, Call]:
        """As `Networks.calls`; the number of threads was given to the sessions."""
        names = ["z", "y", *self.features]
        seen = network_inputs(images_nchw, "landmarks" in self.encoder.inputs)
        codes = dict(zip(names, self.encoder.run(names, seen), strict=True))
        # What goes into the encoder comes out of the decoder.
        return partial(self.encoder.run, names, seen), partial(self.decoder.run, list(seen), codes)


@dataclass(frozen=True)
class RunNetworks:
    """The networks of a training run: its FP32 graphs (encoder and decoder), and PyTorch's.

    `difference`: the largest between graphs and PyTorch.
    """

    image_size: int
    step: int
    difference: float
    eager: Networks
    compiled: Networks
    graphs: tuple[bytes, bytes]

    def onnx(self, setup: Setup) -> dict[str, Networks]:
        """The graphs in a setup, as "aif"."""
        return {"aif": OnnxNetworks.of_graphs(*self.graphs, (), setup)}


def network_inputs(images_nchw: Float32Array, shaped: bool) -> dict[str, Float32Array]:
    """Inputs of an encoder; with shape also landmarks, any, for speed does not depend on them."""
    if not shaped:
        return {"image": images_nchw}
    return {"image": images_nchw, "landmarks": np.full((len(images_nchw), COUNT, 2), 0.5, np.float32)}


def networks_of(bundle: Bundle, setup: Setup) -> dict[str, Networks]:
    """All precisions of a bundle: FP32, which others are compared with, as "aif", INT8 as "aif int8" ...

    Without FP32 the first one in the manifest is "aif". On TensorRT, those with engines that fit.
    Errors as `FaceModel`.
    """
    known = list(bundle.manifest.graphs)
    if setup.provider == "tensorrt":
        from aif.runtime.tensorrt.library import load_library
        from aif.runtime.tensorrt.load import fitting

        machine, (engines, _) = load_library(), find_engines(bundle)
        known = [p for p in known if not fitting(bundle, engines, p, machine)[1]] or known
    base = "fp32" if "fp32" in known else known[0]
    return {
        "aif" if precision == base else f"aif {precision}": OnnxNetworks.of_bundle(bundle, setup, precision)
        for precision in (base, *(each for each in known if each != base))
    }


def bench_networks(
    rivals: Mapping[Setup, Mapping[str, Networks]], image_size: int, batches: Sequence[int], rounds: Rounds
) -> list[Row]:
    """Time encoder and decoder of every rival, by setup and name; within a batch size they take turns.

    Figures: `faces_per_second`, and `ratio`, that of the rival "aif" over its own. `image_size` is the side
    of a face crop in pixels; the crops are noise, for speed does not depend on them.
    """
    for batch in batches:
        if not 1 <= batch <= LARGEST_BATCH:
            raise ConfigError(f"A batch has 1 to {LARGEST_BATCH} faces, not {batch}.")
    rows: list[Row] = []
    for number, (setup, batch) in enumerate((s, b) for s in rivals for b in batches):
        rounds.progress(number, len(rivals) * len(batches))
        images = np.random.default_rng(0).random((batch, 3, image_size, image_size), dtype=np.float32)
        turns: dict[tuple[str, str], Callable[[], list[float]]] = {}
        for name, networks in rivals[setup].items():
            for part, call in zip(("encoder", "decoder"), networks.calls(images, setup.threads), strict=True):
                call()
                turns[part, name] = partial(rounds.repeat, call)
        found = Rounds(rounds.count, rounds.seconds).take_turns(turns)
        rates = {key: median(batch * len(each) / sum(each) for each in times) for key, times in found.items()}
        for (part, name), times in sorted(found.items(), key=lambda each: each[0][0] == "decoder"):
            precision = rivals[setup][name].precision
            labels = {**setup.__dict__, "part": part, "batch": batch, "name": name, "precision": precision}
            rate = rates[part, name]
            figures = {"faces_per_second": rate, "ratio": rates[part, "aif"] / rate}
            rows.append(Row(labels, figures, {"call": spread([s for each in times for s in each])}))
    return rows
