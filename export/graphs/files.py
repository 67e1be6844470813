"""Files of a bundle beside its graphs: what another one holds, and the small networks that go with it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE, Bundle
from aif.runtime.bundle.manifest import FileInfo, GraphFile, LandmarkInfo, Manifest, MatteInfo
from aif.runtime.bundle.storage import open_store
from aif.runtime.errors import AifError, BundleError, ExportError
from aif.runtime.faces.detectors.own import ProposalNet
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.faces.matte import MatteNet
from aif.runtime.tensorrt.store import FOLDER

Companion = tuple[FileInfo, bytes]


def companions(**paths: Path | None) -> dict[str, Companion]:
    """The networks `landmarks`, `matte` and `detector` by name, from the files that are named; for None from
    the embedded bundle, and left out where that has none.

    Raises:
        ExportError: a file cannot be read, or holds another network.
    """
    found: dict[str, Companion] = {}
    for name, path in paths.items():
        data = _embedded(name) if path is None else read_file(path)
        if data is not None:
            about: dict[str, Any] = {"file": f"{name}.onnx", "sha256": sha256_of(data)}
            try:
                if name == "landmarks":
                    found[name] = LandmarkInfo(**about, input_size=LandmarkNet(data).input_size), data
                elif name == "detector":
                    ProposalNet(data)
                    found[name] = GraphFile(**about), data
                else:
                    found[name] = MatteInfo(**about, input_size=MatteNet(data).input_size), data
            except BundleError as error:
                raise ExportError(f"{path}: {error.message}", f"Make one with: aif fit {name}") from error
    return found


def contents_of(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest of the bundle at `path`, and its files without engines.

    Raises:
        BundleError: there is no sound bundle.
    """
    manifest = Bundle.open(path).manifest
    with open_store(path) as store:
        names = [name for name in store.names() if name != "manifest.json" and not name.startswith(FOLDER)]
        return manifest, {name: store.read(name) for name in names}


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


def _embedded(name: str) -> bytes | None:
    """A network of the embedded bundle; None where it brings none, or is no bundle of this version."""
    if not EMBEDDED_BUNDLE.exists():
        return None
    try:
        bundle = Bundle.open()
        read: bytes = getattr(bundle, f"{name}_bytes")()
        return read
    except AifError:
        return None
