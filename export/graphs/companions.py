"""The small networks beside encoder and decoder in a bundle: from a file, or the embedded bundle's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE, Bundle
from aif.runtime.bundle.manifest import LandmarkInfo, MatteInfo
from aif.runtime.errors import AifError, BundleError, ExportError
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.faces.matte import MatteNet

LANDMARKS, MATTE = "landmarks.onnx", "matte.onnx"


def landmark_network(path: Path | None) -> tuple[LandmarkInfo, bytes] | None:
    """The network of dense landmarks from a file, else from the embedded bundle, else None.

    Raises:
        ExportError: the file cannot be read, or holds another network.
    """
    data = _embedded("landmarks") if path is None else read_file(path)
    if data is None:
        return None
    try:
        size = LandmarkNet(data).input_size
    except BundleError as error:
        raise ExportError(f"{path}: {error.message}", "Make one with: aif fit landmarks") from error
    return LandmarkInfo(file=LANDMARKS, sha256=sha256_of(data), input_size=size), data


def matte_network(path: Path | None) -> tuple[MatteInfo, bytes] | None:
    """The network that finds the hair, likewise."""
    data = _embedded("matte") if path is None else read_file(path)
    if data is None:
        return None
    try:
        size = MatteNet(data).input_size
    except BundleError as error:
        raise ExportError(f"{path}: {error.message}", "Make one with: aif fit matte") from error
    return MatteInfo(file=MATTE, sha256=sha256_of(data), input_size=size), data


def read_file(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        ExportError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror}).") from error


def sha256_of(data: bytes) -> str:
    """The SHA-256, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def _embedded(what: str) -> bytes | None:
    """A network of the embedded bundle; None where it brings none, or is no bundle of this version."""
    if not EMBEDDED_BUNDLE.exists():
        return None
    try:
        bundle = Bundle.open()
        if what == "landmarks":
            return None if bundle.manifest.landmarks is None else bundle.landmarks_bytes()
        return None if bundle.manifest.matte is None else bundle.matte_bytes()
    except AifError:
        return None
