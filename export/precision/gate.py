"""The gate of FP16 and INT8: how far their graphs stray from the FP32 ones on faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aif.export.graphs.pair import Graphs
from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.errors import ConfigError, ExportError
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.gate import answers, complaint, figures, flipped

if TYPE_CHECKING:
    from aif.train.evaluators.evaluator import Evaluator


class Gate:
    """Compares graphs with the FP32 ones of the same model on one set of faces.

    Attributes:
        faces: these.
        known: what the FP32 graphs say of them.
    """

    def __init__(
        self, manifest: Manifest, original: Graphs, faces: FaceInputs, evaluator: Evaluator | None = None
    ) -> None:
        """Run the FP32 graphs.

        Args:
            manifest: of the model.
            original: its FP32 graphs.
            faces: as the encoder takes them.
            evaluator: gives verdicts on the decoded faces (on textures, for models with shape); None = none.

        Raises:
            ConfigError: the evaluator knows none of the attributes.
        """
        self._manifest, self._original, self.faces, self._evaluator = manifest, original, faces, evaluator
        names = manifest.attribute_names
        if evaluator is not None:
            self._columns = [i for i, name in enumerate(evaluator.attributes) if name in names]
            if not self._columns:
                raise ConfigError(
                    f"The evaluator knows {', '.join(evaluator.attributes)}, none of which the model edits.",
                    f"Train one of: {', '.join(names)} (aif fit evaluator).",
                )
        self.known = answers(original.loaded(manifest), faces)
        self._verdicts = self._verdicts_on(self.known.decoded.image)

    def figures(self, graphs: Graphs) -> dict[str, float]:
        """How far the graphs stray; the decoder gets the z of their own encoder and the y of FP32."""
        found = answers(graphs.loaded(self._manifest), self.faces, self.known.encoding.y)
        made = figures(found, self.known)
        if self._evaluator is not None:
            images = found.decoded.image
            changed = np.mean(self._verdicts_on(images) != self._verdicts)
            made["verdicts"] = float(changed) if np.isfinite(images).all() else 1.0
        return made

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

    def _verdicts_on(self, images: Float32Array) -> npt.NDArray[np.bool_]:
        if self._evaluator is None:
            return np.zeros((len(images), 0), dtype=bool)
        import torch

        said = self._evaluator.predict(torch.from_numpy(np.nan_to_num(images))).numpy()
        return np.asarray(said[:, self._columns] > 0.5)
