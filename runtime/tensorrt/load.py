"""The engines of a bundle, loaded: those that fit this machine, or an error that says why none does."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import BundleError, ProviderError
from aif.runtime.model.make import check_buildable
from aif.runtime.tensorrt.engine import EngineSession
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.memory import Card
from aif.runtime.tensorrt.sidecar import PARTS, Machine, Sidecar, remark
from aif.runtime.tensorrt.store import (
    BUILDABLE,
    EngineListing,
    build_command,
    choose_engine,
    find_engines,
    graph_hashes,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engines:
    """Encoder and decoder on one card. `precision` is that of the graphs they were built from."""

    precision: str
    encoder: EngineSession
    decoder: EngineSession


def load_engines(bundle: Bundle, precision: str | None, cuda_graph: bool, brought: bool = True) -> Engines:
    """Load the bundle's engines.

    Args:
        bundle: they are looked for in it, and in the cache.
        precision: None = FP16 where such engines fit, else FP32.
        cuda_graph: see `EngineSession`.
        brought: take also those that came with the bundle; see `find_engines`.

    Raises:
        ProviderError: TensorRT is not here, or no engine fits; says why, and what builds one.
        BundleError: the bundle has no such precision.
        ConfigError: a precision that TensorRT cannot take.
    """
    known = bundle.manifest.graphs
    if precision is not None and precision not in known:
        raise BundleError(
            f"{bundle.path} has no graphs of precision {precision!r}.", f"It has: {', '.join(known)}."
        )
    check_buildable([precision] if precision is not None else [])
    library = load_library()
    listing = find_engines(bundle, brought)
    wanted = [p for p in BUILDABLE if p in known] if precision is None else [precision]
    for each in wanted:
        found = fitting(bundle, listing, each, library.machine)
        if isinstance(found, list):
            continue
        card = Card(library)
        for sidecar, _ in found:
            said = remark(sidecar, library.machine)
            if said:
                logger.warning("%s: %s.", sidecar.file, said)
        encoder, decoder = (EngineSession(data, sidecar, card, cuda_graph) for sidecar, data in found)
        return Engines(each, encoder, decoder)
    raise ProviderError(*why_none(bundle, listing, wanted or list(known), library.machine))


def fitting(
    bundle: Bundle, listing: EngineListing, precision: str, machine: Machine
) -> tuple[tuple[Sidecar, bytes], ...] | list[str]:
    """Encoder and decoder of a precision that fit the machine, or why not."""
    hashes, found, reasons = graph_hashes(bundle, precision), [], []
    for part in PARTS:
        chosen = choose_engine(listing, part, precision, machine, hashes[part])
        if isinstance(chosen, list):
            reasons += chosen or [f"there is no {precision} engine of the {part}"]
        else:
            found.append((chosen[0].sidecar, chosen[1]))
    return reasons or tuple(found)


def why_none(
    bundle: Bundle, listing: EngineListing, precisions: list[str], machine: Machine
) -> tuple[str, str]:
    """Message and fix for a bundle without engines that fit."""
    reasons: list[str] = []
    for each in precisions:
        found = fitting(bundle, listing, each, machine)
        reasons += found if isinstance(found, list) else []
    said = "; ".join([*listing.faults, *reasons])
    here = f"TensorRT {machine.tensorrt} on {machine.gpu} (compute capability {machine.capability})"
    return f"No TensorRT engines of {bundle.path} fit {here}: {said}.", build_command(bundle, precisions[0])
