"""The gate of every precision: how far its graphs stray from the FP32 ones on face crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aif.export.graphs.faces import Faces
from aif.export.precision.worst_layer import worst_layer
from aif.runtime.arrays import Float32Array
from aif.runtime.errors import ConfigError, ExportError
from aif.runtime.model.gate import greatest_distance, relative_error
from aif.runtime.networks.sessions import Session

if TYPE_CHECKING:
    from aif.train.evaluators.evaluator import Evaluator

BATCH = 16

LIMITS: Mapping[str, Mapping[str, float]] = {
    "fp16": {
        "z": 0.005,
        "features": 0.005,
        "y_mean": 0.001,
        "y_max": 0.01,
        "image": 0.005,
        "landmarks": 0.0005,
        "verdicts": 0.005,
    },
    "int8": {
        "z": 0.10,
        "features": 0.10,
        "y_mean": 0.01,
        "y_max": 0.15,
        "image": 0.05,
        "landmarks": 0.004,
        "verdicts": 0.03,
    },
}
"""What is allowed, by precision and figure; docs/precision.md says why."""

ENCODER_FIGURES = ("z", "features", "y_mean", "y_max")


@dataclass(frozen=True)
class Graphs:
    """Encoder and decoder of one precision as ONNX bytes."""

    encoder: bytes
    decoder: bytes


@dataclass(frozen=True)
class Answers:
    """What two graphs say of N faces.

    Attributes:
        z, y, features: of the encoder.
        images: (2N, 3, S, S): each face as it is, then each with one attribute turned round.
        landmarks: (2N, 221, 2) likewise, in units of the crop's side; None for models without shape.
    """

    z: Float32Array
    y: Float32Array
    features: tuple[Float32Array, ...]
    images: Float32Array
    landmarks: Float32Array | None = None


def turned(y: Float32Array) -> Float32Array:
    """y (N, A) with one attribute of each face, the next one from face to face, set to its other side."""
    edited = y.copy()
    rows = np.arange(len(y))
    columns = rows % y.shape[1]
    edited[rows, columns] = (y[rows, columns] < 0.5).astype(np.float32)
    return edited


class Gate:
    """Compares graphs with the FP32 ones of the same model on one set of faces."""

    def __init__(
        self,
        original: Graphs,
        features: Sequence[str],
        attributes: Sequence[str],
        faces: Faces,
        evaluator: Evaluator | None = None,
    ) -> None:
        """Run the FP32 graphs.

        Args:
            original: the FP32 graphs.
            features: names of the tensors that go from encoder to decoder beside z and y.
            attributes: names of y's columns.
            faces: as the encoder takes them.
            evaluator: gives verdicts on the decoded faces (on textures, for models with shape); None = none.

        Raises:
            ConfigError: the evaluator knows none of the attributes.
        """
        self._original, self._features, self.faces = original, tuple(features), faces
        self._evaluator = evaluator
        self._columns = (
            [] if evaluator is None else [i for i, a in enumerate(evaluator.attributes) if a in attributes]
        )
        if evaluator is not None and not self._columns:
            raise ConfigError(
                f"The evaluator knows {', '.join(evaluator.attributes)}, none of which the model edits.",
                f"Train one of: {', '.join(attributes)} (aif fit evaluator).",
            )
        codes = self.encode(original.encoder)
        self._y = np.concatenate([codes[1], turned(codes[1])])
        self.answers = Answers(codes[0], codes[1], codes[2:], *self._decode(original.decoder, codes))
        self._verdicts = self._verdicts_on(self.answers.images)

    def figures(self, graphs: Graphs) -> dict[str, float]:
        """How far the graphs stray; the decoder gets the z of their own encoder and the y of FP32."""
        codes = self.encode(graphs.encoder)
        images, landmarks = self._decode(graphs.decoder, codes)
        known = self.answers
        change = np.abs(codes[1] - known.y)
        found = {"z": relative_error(codes[0], known.z)}
        if self._features:
            found["features"] = max(map(relative_error, codes[2:], known.features))
        found["y_mean"], found["y_max"] = float(np.mean(change)), float(np.max(change))
        found["image"] = relative_error(images, known.images)
        if landmarks is not None and known.landmarks is not None:
            found["landmarks"] = greatest_distance(landmarks, known.landmarks)
        if self._evaluator is not None:
            changed = np.mean(self._verdicts_on(images) != self._verdicts)
            found["verdicts"] = float(changed) if np.isfinite(images).all() else 1.0
        # A value that is not finite is as wrong as can be, and has to be a number in the manifest's error.
        return {name: value if np.isfinite(value) else float("inf") for name, value in found.items()}

    def failed(self, precision: str, figures: Mapping[str, float]) -> tuple[str, ...]:
        """The figures that are above their limits."""
        return tuple(n for n, value in figures.items() if not value <= LIMITS[precision][n])

    def check(self, precision: str, graphs: Graphs, figures: Mapping[str, float]) -> None:
        """Let graphs with these figures pass or not.

        Raises:
            ExportError: a figure is above its limit; names the layer that adds most error.
        """
        failed = self.failed(precision, figures)
        if not failed:
            return
        said = ", ".join(f"{n} {figures[n]:.2g} (allowed {LIMITS[precision][n]:g})" for n in failed)
        raise ExportError(
            f"The {precision} graphs stray too far from FP32 on {len(self.faces)} faces: {said}. "
            f"{self._blame(graphs, failed)}",
            f"Nothing was written. Export without {precision}.",
        )

    def encode(self, encoder: bytes) -> tuple[Float32Array, ...]:
        """z, y and features of the faces."""
        session = Session(encoder, "cpu", None, "encoder")
        names = ["z", "y", *self._features]
        pieces = [session.run(names, self.faces.feeds(i)) for i in self._slices()]
        return tuple(np.concatenate(columns) for columns in zip(*pieces, strict=True))

    def decoder_feeds(self, rows: slice = slice(None)) -> dict[str, Float32Array]:
        """What the FP32 encoder gives the decoder: half of the faces as they are, half turned."""
        known = self.answers
        y = np.where(np.arange(len(known.y))[:, None] % 2, turned(known.y), known.y)
        return {
            "z": known.z[rows],
            "y": y[rows],
            **{name: each[rows] for name, each in zip(self._features, known.features, strict=True)},
        }

    def _decode(
        self, decoder: bytes, codes: Sequence[Float32Array]
    ) -> tuple[Float32Array, Float32Array | None]:
        session = Session(decoder, "cpu", None, "decoder")
        outputs = list(self.faces.feeds())  # what goes into the encoder comes out of the decoder
        pieces = []
        for y in np.split(self._y, 2):
            for i in self._slices():
                more = {name: each[i] for name, each in zip(self._features, codes[2:], strict=True)}
                pieces.append(session.run(outputs, {"z": codes[0][i], "y": y[i], **more}))
        images, *landmarks = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
        return images, landmarks[0] if landmarks else None

    def _slices(self) -> list[slice]:
        return [slice(start, start + BATCH) for start in range(0, len(self.faces), BATCH)]

    def _verdicts_on(self, images: Float32Array) -> npt.NDArray[np.bool_]:
        if self._evaluator is None:
            return np.zeros((len(images), 0), dtype=bool)
        import torch

        said = self._evaluator.predict(torch.from_numpy(np.nan_to_num(images))).numpy()
        return np.asarray(said[:, self._columns] > 0.5)

    def _blame(self, graphs: Graphs, failed: Sequence[str]) -> str:
        """A sentence that names the worst layer."""
        few = slice(0, BATCH)
        known = self._original
        worst = {"encoder": worst_layer(known.encoder, graphs.encoder, self.faces.feeds(few))}
        if not set(failed) & set(ENCODER_FIGURES):
            worst["decoder"] = worst_layer(known.decoder, graphs.decoder, self.decoder_feeds(few))
        added = {part: layer.added for part, layer in worst.items() if layer is not None}
        if not added:
            return "No layer can be compared."
        part = max(added, key=added.__getitem__)
        return f"Worst layer, in the {part}: {worst[part]}."
