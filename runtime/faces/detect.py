"""The detector of a name: the bundle's own network, YuNet where its file is at hand, or Haar cascades."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE, Bundle
from aif.runtime.errors import ConfigError
from aif.runtime.faces.detection import Detection, Detector, check_frame
from aif.runtime.faces.detectors.opencv import HaarDetector, YuNetDetector
from aif.runtime.faces.detectors.own import OwnDetector, ProposalNet
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.fetch import yunet_path
from aif.runtime.machine import DetectorName

__all__ = [
    "Detection",
    "Detector",
    "HaarDetector",
    "YuNetDetector",
    "check_frame",
    "make_detector",
    "resolve_detector",
]


def make_detector(
    name: DetectorName,
    bundle: Bundle,
    yunet: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Detector:
    """The detector of a name; see `resolve_detector`.

    Args:
        name: "auto", "aif", "yunet" or "haar".
        bundle: brings the landmark network and that of "aif"; one without takes the embedded bundle's.
        yunet: YuNet's file; None = what `AIF_YUNET` names or `aif fetch yunet` has fetched.
        threads: threads of the networks; None = one a core.

    Raises:
        ConfigError: no such detector, or one is wanted that is not at hand.
    """
    name, path = resolve_detector(name, bundle, yunet)
    net = LandmarkNet(Bundle.open() if bundle.manifest.landmarks is None else bundle, threads)
    if path is not None:
        return YuNetDetector(path, net)
    brought = _with_detector(bundle) if name == "aif" else None
    return HaarDetector(net) if brought is None else OwnDetector(ProposalNet(brought, threads), net)


def resolve_detector(
    name: DetectorName, bundle: Bundle, yunet: str | os.PathLike[str] | None = None
) -> tuple[DetectorName, Path | None]:
    """Which detector a name means here, and YuNet's file where it is that; arguments as `make_detector`.

    "auto" is YuNet where its file is named or at hand, else the bundle's own network, else Haar.

    Raises:
        ConfigError: no such detector, or one is wanted that is not at hand.
    """
    if name not in get_args(DetectorName):
        raise ConfigError(f"There is no detector {name!r}.", f"Known: {', '.join(get_args(DetectorName))}.")
    if name in ("auto", "yunet"):
        path = Path(yunet) if yunet is not None else yunet_path()
        if path is not None:
            return "yunet", path
        if name == "yunet":
            raise ConfigError(
                "YuNet's file is not here.", "Fetch it with: aif fetch yunet, or name it with AIF_YUNET."
            )
    if name == "haar":
        return "haar", None
    if _with_detector(bundle) is not None:
        return "aif", None
    if name == "aif":
        raise ConfigError(
            f"{bundle.path} brings no face detector, nor does the embedded bundle.",
            "Use another one: --detector auto.",
        )
    return "haar", None


def _with_detector(bundle: Bundle) -> Bundle | None:
    """The bundle, or else the embedded one, if it brings a face detector."""
    if bundle.manifest.detector is None and EMBEDDED_BUNDLE.exists():
        bundle = Bundle.open()
    return None if bundle.manifest.detector is None else bundle
