"""What a result depends on, settled once for all workers, and its hash."""

from __future__ import annotations

import hashlib
import json
import socket
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.faces.detect import DetectorName, resolve_detector
from aif.runtime.image.io import read_bytes
from aif.runtime.model.model import preferred_precision
from aif.runtime.networks.sessions import Device, Provider, choose_devices

if TYPE_CHECKING:
    from aif.cli.edit.run import EditPlan


@dataclass(frozen=True)
class Means:
    """Which detector and which graphs, by name: no worker has to choose.

    Attributes:
        detector: "yunet" or "haar".
        yunet: YuNet's file on this machine; None = Haar.
        yunet_sha256: of that file.
        precision: of the bundle's graphs.
    """

    detector: str
    yunet: Path | None
    yunet_sha256: str | None
    precision: str


def settle(
    bundle: Bundle, provider: str, detector: str, yunet: Path | None, precision: str | None, here: bool
) -> Means:
    """Settle what was left open: "auto", or no precision.

    Args:
        bundle: to edit with.
        provider, detector, yunet, precision: as asked for.
        here: the workers run on this machine; else "auto" says nothing of theirs, and means FP32.

    Raises:
        ConfigError: YuNet is wanted and not at hand, or its file cannot be read.
        BundleError: the bundle has no such precision.
    """
    name, path = resolve_detector(cast(DetectorName, detector), yunet)
    sha256 = None if path is None else hashlib.sha256(read_bytes(path)).hexdigest()
    if precision is not None:
        if precision not in bundle.manifest.graphs:
            bundle.graph_bytes(precision, "encoder")  # says which there are
    elif provider == "auto" and not here:
        known = bundle.manifest.graphs
        precision = "fp32" if "fp32" in known else next(iter(known))
    else:
        precision = _precision(bundle, choose_devices(cast(Provider, provider))[0])
    return Means(name, None if path is None else path.resolve(), sha256, precision)


def _precision(bundle: Bundle, device: str) -> str:
    """What the networks would take on a device; on TensorRT, of what engines were built for where any are."""
    if device != "tensorrt":
        return preferred_precision(bundle.manifest, cast(Device, device))
    from aif.runtime.tensorrt.store import BUILDABLE, find_engines

    built = {each.sidecar.precision for each in find_engines(bundle).engines}
    known = [each for each in BUILDABLE if each in bundle.manifest.graphs]
    return next((each for each in known if each in built), known[0] if known else "fp32")


def settings_hash(plan: EditPlan, bundle: str, means: Means) -> str:
    """A hash of all that a result depends on; not of where and how fast it is made."""
    told = {
        "aif": version("aif"),
        "bundle": bundle,
        "precision": means.precision,
        "detector": means.detector,
        "yunet": means.yunet_sha256,
        "plan": asdict(plan),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def same_yunet(path: Path | None, sha256: str | None) -> Path | None:
    """The YuNet file that the job started with: at the same path here, or where this machine keeps its own.

    Raises:
        ConfigError: it is at neither.
    """
    if sha256 is None:
        return path
    from aif.runtime.fetch import yunet_path

    for place in (path, yunet_path()):
        try:
            if place is not None and hashlib.sha256(read_bytes(place)).hexdigest() == sha256:
                return place
        except AifError:
            continue
    raise ConfigError(
        f"The YuNet file that the job started with is not on {socket.gethostname()}.",
        f"Run aif fetch yunet on every machine, or copy the file to {path}; or use --detector haar.",
    )
