"""Files of a bundle: its graphs, the small networks that go with them, and what another bundle holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import CropNetInfo, FileInfo, Manifest
from aif.runtime.bundle.storage import open_store
from aif.runtime.errors import BundleError, ExportError
from aif.runtime.faces.detectors.own import ProposalNet
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.faces.matte import MatteNet
from aif.runtime.model.autoencoder import Autoencoder
from aif.runtime.networks.sessions import Session
from aif.runtime.tensorrt.store import FOLDER

Companion = tuple[FileInfo, bytes]


@dataclass(frozen=True)
class Graphs:
    """Encoder and decoder of one precision as ONNX bytes, before they are in a bundle."""

    encoder: bytes
    decoder: bytes

    def parts(self) -> dict[str, bytes]:
        """Both by name."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    def sessions(self) -> tuple[Session, Session]:
        """Both on the processor; errors as `Session`."""
        return Session(self.encoder, "cpu", None, "encoder"), Session(self.decoder, "cpu", None, "decoder")

    def loaded(self, manifest: Manifest) -> Autoencoder:
        """Both as a model on the processor; errors as `Autoencoder`."""
        return Autoencoder(manifest, "fp32", *self.sessions(), "the new graphs")


def companions(**paths: Path | None) -> dict[str, Companion]:
    """The networks `landmarks`, `matte` and `detector` by name, from the files that are named; for None from
    the embedded bundle, and left out where that has none. ExportError where a file holds another network.
    """
    found: dict[str, Companion] = {}
    for name, path in paths.items():
        data = _embedded(name) if path is None else read_file(path)
        if data is None:
            continue
        about: dict[str, Any] = {"file": f"{name}.onnx", "sha256": sha256_of(data)}
        try:
            if name == "detector":
                ProposalNet(data)
                found[name] = FileInfo(**about), data
            else:
                network = LandmarkNet(data) if name == "landmarks" else MatteNet(data)
                found[name] = CropNetInfo(**about, input_size=network.input_size), data
        except BundleError as error:
            raise ExportError(f"{path}: {error.message}", f"Make one with: aif fit {name}") from error
    return found


def contents_of(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Manifest and files, but engines, of the bundle at `path`; BundleError where it is not sound."""
    manifest = Bundle.open(path).manifest
    with open_store(path) as store:
        names = [name for name in store.names() if name != "manifest.json" and not name.startswith(FOLDER)]
        return manifest, {name: store.read(name) for name in names}


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises ExportError: it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror}).") from error


def sha256_of(data: bytes) -> str:
    """The SHA-256, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def _embedded(name: str) -> bytes | None:
    """A network of the embedded bundle; None where it brings none, or is no bundle of this version."""
    try:
        read: bytes = getattr(Bundle.open(), f"{name}_bytes")()
        return read
    except BundleError:
        return None
