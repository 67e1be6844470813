"""Encoder and decoder of one precision as bytes, before they are in a bundle."""

from __future__ import annotations

from dataclasses import dataclass

from aif.runtime.bundle.manifest import Manifest
from aif.runtime.model.autoencoder import Autoencoder
from aif.runtime.networks.sessions import Session


@dataclass(frozen=True)
class Graphs:
    """Serialised ONNX models."""

    encoder: bytes
    decoder: bytes

    def parts(self) -> dict[str, bytes]:
        """Both by name."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    def sessions(self) -> tuple[Session, Session]:
        """Both on the processor; errors as `Session`."""
        return Session(self.encoder, "cpu", None, "encoder"), Session(self.decoder, "cpu", None, "decoder")

    def loaded(self, manifest: Manifest, precision: str = "fp32") -> Autoencoder:
        """Both as a model on the processor; errors as `Autoencoder`."""
        return Autoencoder(manifest, precision, *self.sessions(), f"the new {precision} graphs")
