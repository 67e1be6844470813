"""The networks of a bundle, loaded on the device that was asked for, or on the best one that works."""

from __future__ import annotations

import logging
from typing import get_args

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.errors import AifError, ConfigError, ProviderError
from aif.runtime.machine import Provider
from aif.runtime.model.autoencoder import Autoencoder
from aif.runtime.model.codes import Decoded, Encoding
from aif.runtime.networks.cpu import multiplies_int8
from aif.runtime.networks.network import MAX_BATCH, AnyDevice, Device, Network
from aif.runtime.networks.providers import require
from aif.runtime.networks.sessions import Session
from aif.runtime.tensorrt.load import load_engines
from aif.runtime.tensorrt.sidecar import PARTS
from aif.runtime.tensorrt.store import find_engines

__all__ = ["INT8_PAYS", "MAX_BATCH", "AnyDevice", "Decoded", "Encoding", "FaceModel", "preferred_precision"]

logger = logging.getLogger(__name__)

INT8_PAYS = 1.5
"""How many times faster than FP32 an export must have measured INT8 to be for it to be taken unasked."""


class FaceModel(Autoencoder):
    """The networks of a bundle on one device. Calls may come from several threads at once."""

    def __init__(
        self,
        bundle: Bundle,
        provider: Provider = "cpu",
        threads: int | None = None,
        precision: str | None = None,
    ) -> None:
        """Load both networks.

        Args:
            provider: "cpu", "cuda", "tensorrt" (the bundle's engines), "openvino", "ort-tensorrt", or "auto":
                TensorRT where the user's own cache has engines that fit, else CUDA where it really loads,
                else the processor. Engines that came with a bundle may run programs of their own: only
                "tensorrt" takes them.
            threads: threads of one call on the CPU; None = one a core.
            precision: None takes FP32 on the CPU and FP16 on CUDA, where the bundle has them; on the CPU
                INT8 instead, where the export measured it at 1.5 times the speed and the processor is known
                to multiply 8-bit numbers.

        Raises:
            BundleError: no such precision, or graphs that do not fit the manifest.
            ProviderError: what was asked for cannot be loaded.
        """
        self.bundle = bundle
        if provider not in get_args(Provider):
            known = ", ".join(get_args(Provider))
            raise ConfigError(f"There is no provider {provider!r}.", f"Known: {known}.")
        devices: tuple[AnyDevice, ...] = ("cuda", "cpu") if provider == "auto" else (provider,)
        if provider == "auto" and _has_own_engines(bundle):
            devices = ("tensorrt", *devices)
        found: tuple[str, Network, Network]
        for number, device in enumerate(devices):
            following = devices[number + 1 :]
            try:
                if device == "tensorrt":
                    found = load_engines(bundle, precision, provider == "tensorrt")
                else:
                    found = _load_graphs(bundle, device, threads, precision, bool(following))
                break
            except AifError as error:
                if not following or not (device == "tensorrt" or isinstance(error, ProviderError)):
                    raise
                then = "Trying CUDA" if following[0] == "cuda" else "Running on the processor"
                logger.info("%s: %s %s", then, error.message, error.fix or "")
        super().__init__(bundle.manifest, *found, str(bundle.path))


def preferred_precision(manifest: Manifest, device: Device) -> str:
    """Which of the bundle's precisions runs on a device when none is asked for."""
    known, int8 = manifest.graphs, manifest.variants.get("int8")
    if device == "cpu" and int8 is not None and int8.speedup >= INT8_PAYS and multiplies_int8():
        return "int8"
    preferred = ("fp16", "fp32") if device in {"cuda", "ort-tensorrt"} else ("fp32", "fp16")
    return next((each for each in preferred if each in known), next(iter(known)))


def _load_graphs(
    bundle: Bundle, device: Device, threads: int | None, precision: str | None, quiet: bool
) -> tuple[str, Network, Network]:
    require(device)
    chosen = preferred_precision(bundle.manifest, device) if precision is None else precision
    encoder, decoder = (
        Session(bundle.graph_bytes(chosen, part), device, threads, part, quiet) for part in PARTS
    )
    return chosen, encoder, decoder


def _has_own_engines(bundle: Bundle) -> bool:
    """Whether the user's cache has engines for the bundle; names damaged ones, and others that came along."""
    engines, faults = find_engines(bundle)
    for fault in faults:
        logger.info("Left out: %s", fault)
    if any(each.brought for each in engines):
        logger.info("%s brings TensorRT engines; they are used with --provider tensorrt only.", bundle.path)
    return not all(each.brought for each in engines)
