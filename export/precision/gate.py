"""The gate of FP16 and INT8: how far their graphs stray from the FP32 ones on faces."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aif.export.graphs.pair import Graphs
from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.errors import ExportError
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.gate import answers, complaint, figures, flipped


class Gate:
    """Compares graphs with the FP32 ones of the same model on one set of faces.

    Attributes:
        known: what the FP32 graphs say of them.
    """

    def __init__(self, manifest: Manifest, original: Graphs, faces: FaceInputs) -> None:
        """Run the FP32 graphs of the model that `manifest` describes on faces as its encoder takes them."""
        self._manifest, self.faces = manifest, faces
        self.known = answers(original.loaded(manifest), faces)

    def figures(self, graphs: Graphs) -> dict[str, float]:
        """How far the graphs stray; the decoder gets the z of their own encoder and the y of FP32."""
        found = answers(graphs.loaded(self._manifest), self.faces, self.known.encoding.y)
        return figures(found, self.known)

    def check(self, precision: str, made: Mapping[str, float]) -> None:
        """Let graphs with these figures pass or not.

        Raises:
            ExportError: a figure is above its limit.
        """
        said = complaint(precision, made)
        if said is not None:
            raise ExportError(
                f"The {precision} graphs stray too far from FP32 on {len(self.faces)} faces: {said}.",
                f"Nothing was written. Export without {precision}.",
            )

    def decoder_feeds(self) -> dict[str, Float32Array]:
        """What the FP32 encoder gives the decoder: every second face with one attribute flipped."""
        known = self.known.encoding
        y = np.where(np.arange(len(known))[:, None] % 2, flipped(known.y), known.y)
        return {"z": known.z, "y": y, **known.features}
