"""The engines of a bundle, loaded: those that fit this machine, or an error that says why none does."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import BundleError, ProviderError
from aif.runtime.tensorrt.engine import EngineSession
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.sidecar import PARTS, Machine, Sidecar, misfits, remark
from aif.runtime.tensorrt.store import (
    BUILDABLE,
    EngineListing,
    Stored,
    build_command,
    check_buildable,
    find_engines,
    graph_hashes,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """Encoder and decoder of one precision that fit a machine, or why there are not both."""

    precision: str
    engines: tuple[tuple[Sidecar, bytes], ...]
    reasons: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether both are there."""
        return not self.reasons


def load_engines(
    bundle: Bundle, precision: str | None = None, brought: bool = True
) -> tuple[str, EngineSession, EngineSession]:
    """Load a bundle's engines: their precision, the encoder, the decoder.

    Args:
        precision: None = FP16 where such engines fit, else FP32.
        brought: take also those that came with the bundle; see `find_engines`.

    Raises:
        ProviderError: TensorRT is not here, or no engine fits; says why, and what builds one.
        BundleError, ConfigError: the bundle has no such precision, or TensorRT cannot take it.
    """
    known = bundle.manifest.graphs
    if precision is not None:
        bundle.check_precision(precision)
    check_buildable([] if precision is None else [precision])
    machine = load_library()
    listing = find_engines(bundle, brought)
    wanted = [each for each in BUILDABLE if each in known] if precision is None else [precision]
    fits = [fitting(bundle, listing, each, machine) for each in wanted]
    for fit in fits:
        if fit.whole:
            for note in filter(None, (remark(sidecar, machine) for sidecar, _ in fit.engines)):
                logger.warning("The %s engines: %s.", fit.precision, note)
            encoder, decoder = (EngineSession(data, sidecar) for sidecar, data in fit.engines)
            return fit.precision, encoder, decoder
    said = "; ".join([*listing.faults, *(reason for fit in fits for reason in fit.reasons)])
    here = f"TensorRT {machine.tensorrt} on {machine.gpu} (compute capability {machine.capability})"
    raise ProviderError(
        f"No TensorRT engines of {bundle.path} fit {here}: {said}.",
        build_command(bundle, next(iter(wanted or known))),
    )


def fitting(bundle: Bundle, listing: EngineListing, precision: str, machine: Machine) -> Fit:
    """The first encoder and decoder of a precision that fit the machine, and are what their sidecars say."""
    chosen: list[tuple[Sidecar, bytes]] = []
    reasons: list[str] = []
    for part in PARTS:
        wrong: list[str] = []
        for stored in listing.engines:
            if (stored.sidecar.part, stored.sidecar.precision) != (part, precision):
                continue
            data, why = judged(bundle, stored, machine)
            if not why:
                chosen.append((stored.sidecar, data))
                break
            wrong.append(f"{stored.where}: {', and '.join(why)}")
        else:
            reasons += wrong or [f"there is no {precision} engine of the {part}"]
    return Fit(precision, tuple(chosen), tuple(reasons))


def judged(bundle: Bundle, stored: Stored, machine: Machine) -> tuple[bytes, list[str]]:
    """An engine's bytes, and why it may not be used on a machine; no reasons where it may."""
    sidecar, known = stored.sidecar, bundle.manifest.graphs
    graph = graph_hashes(bundle, sidecar.precision)[sidecar.part] if sidecar.precision in known else ""
    why = misfits(sidecar, machine, graph)
    try:
        return (b"", why) if why else (stored.verified(), [])
    except BundleError as error:
        return b"", [error.message]
