"""The engines of a bundle, loaded: those that fit this machine, or an error that says why none does."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import BundleError, ProviderError
from aif.runtime.tensorrt.engine import EngineSession
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.sidecar import PARTS, Machine, misfits, remark
from aif.runtime.tensorrt.store import (
    BUILDABLE,
    Engine,
    Stored,
    build_command,
    check_buildable,
    find_engines,
    graph_sha256,
)

logger = logging.getLogger(__name__)


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
    stored, said = find_engines(bundle, brought)
    wanted = [each for each in BUILDABLE if each in known] if precision is None else [precision]
    for each in wanted:
        engines, reasons = fitting(bundle, stored, each, machine)
        if not reasons:
            for note in filter(None, (remark(sidecar, machine) for sidecar, _ in engines)):
                logger.warning("The %s engines: %s.", each, note)
            encoder, decoder = (EngineSession(data, sidecar) for sidecar, data in engines)
            return each, encoder, decoder
        said += reasons
    raise ProviderError(
        f"No TensorRT engines of {bundle.path} fit TensorRT {machine.tensorrt} on {machine.gpu} "
        f"(compute capability {machine.capability}): {'; '.join(said)}.",
        build_command(bundle, next(iter(wanted or known))),
    )


def fitting(
    bundle: Bundle, engines: Sequence[Stored], precision: str, machine: Machine
) -> tuple[list[Engine], list[str]]:
    """The first encoder and decoder of a precision that fit the machine, and are what their sidecars say; and
    why there are not both.
    """
    chosen: list[Engine] = []
    reasons: list[str] = []
    for part in PARTS:
        wrong: list[str] = []
        for stored in engines:
            if (stored.sidecar.part, stored.sidecar.precision) != (part, precision):
                continue
            data, why = judged(bundle, stored, machine)
            if not why:
                chosen.append((stored.sidecar, data))
                break
            wrong.append(f"{stored.where}: {', and '.join(why)}")
        else:
            reasons += wrong or [f"there is no {precision} engine of the {part}"]
    return chosen, reasons


def judged(bundle: Bundle, stored: Stored, machine: Machine) -> tuple[bytes, list[str]]:
    """An engine's bytes, and why it may not be used on a machine; no reasons where it may."""
    sidecar = stored.sidecar
    why = misfits(sidecar, machine, graph_sha256(bundle, sidecar.precision, sidecar.part))
    try:
        return (b"", why) if why else (stored.verified(), [])
    except BundleError as error:
        return b"", [error.message]
