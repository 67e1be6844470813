"""Measure a model of whole crops: its reconstructions and edits, as decoded and as composed into the photo.

Edits of any kind of bundle are measured by `aif.train.evaluation.composed`. The attribute values that an edit
starts from are the encoder's own prediction, as in use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aif.runtime.arrays import Float32Array, UInt8Array
from aif.runtime.editing.similarity.composite import FacePatch, composite
from aif.runtime.model.model import Decoded, Encoding
from aif.train.data.augment import resize_crop
from aif.train.data.base import FaceDataset
from aif.train.data.batch import Batch
from aif.train.evaluation.counting import AttributeEvaluator, EditOptions, count_edits
from aif.train.evaluation.measure_report import Blend, Measurement, View
from aif.train.evaluators.identity import IdentityNetwork
from aif.train.training.run import TrainedRun

MODES: tuple[Blend, ...] = ("delta", "replace")


class EditingModel(Protocol):
    """What is measured; `aif.runtime.model.model.FaceModel` is one, where its crops have no shape."""

    @property
    def attributes(self) -> Sequence[str]: ...
    @property
    def image_size(self) -> int: ...
    def encode(self, crops_nchw: npt.ArrayLike, /) -> Encoding: ...
    def decode(self, encoding: Encoding, y: npt.ArrayLike, /) -> Decoded: ...


class TorchModel:
    """PyTorch networks as an `EditingModel`: z is the posterior mean, nothing is random.

    encoder: image (N, 3, S, S) -> an object with mean, log_variance and y; decoder: (z, y) -> image.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, attributes: Sequence[str], image_size: int
    ) -> None:
        self.attributes, self.image_size = tuple(attributes), image_size
        self._encoder, self._decoder = encoder.eval(), decoder.eval()

    @classmethod
    def of(cls, run: TrainedRun) -> TorchModel:
        """The networks of a run."""
        return cls(run.encoder, run.decoder, run.config.data.attributes, run.config.network.image_size)

    @torch.no_grad()
    def encode(self, crops_nchw: npt.ArrayLike) -> Encoding:
        """float32 (N, 3, S, S) RGB in [0, 1] -> codes."""
        out = self._encoder(_tensor(crops_nchw))
        return Encoding(_numpy(out.mean), _numpy(out.y))

    @torch.no_grad()
    def posterior(self, crops_nchw: npt.ArrayLike) -> tuple[Float32Array, Float32Array]:
        """float32 (N, 3, S, S) RGB in [0, 1] -> mean and standard deviation of q(z | x), (N, Z) each."""
        out = self._encoder(_tensor(crops_nchw))
        return _numpy(out.mean), _numpy((0.5 * out.log_variance.float()).exp())

    @torch.no_grad()
    def decode(self, encoding: Encoding, y: npt.ArrayLike) -> Decoded:
        """Codes and attribute values (N, A) -> images float32 (N, 3, S, S) RGB in [0, 1]."""
        return Decoded(_numpy(self._decoder(_tensor(encoding.z), _tensor(y))))


def measure(
    model: EditingModel,
    dataset: FaceDataset,
    evaluator: AttributeEvaluator,
    options: EditOptions | None = None,
    *,
    indices: Sequence[int] | None = None,
    identity: IdentityNetwork | None = None,
) -> Measurement:
    """Reconstruct and edit the faces at `indices`, and let the evaluator look at them.

    The photo of the composed pictures is the dataset's own crop at its full size. Arguments and errors are
    those of `count_edits`.
    """
    options = options or EditOptions()
    errors: list[Float32Array] = []
    labels_found: list[Float32Array] = []
    faces: list[npt.NDArray[np.int64]] = []

    def look(batch: Batch) -> _Crops:
        crops = _Crops(model, batch)
        errors.append(np.square(crops.source - crops.crops).mean(axis=(1, 2, 3)))
        labels_found.append(crops.encoding.y)
        faces.append(batch.indices.numpy())
        return crops

    counted = count_edits(
        look, model.attributes, dataset, evaluator, options, indices=indices, identity=identity
    )
    error, found = np.concatenate(errors), np.concatenate(labels_found) > 0.5
    truth = dataset.labels[np.concatenate(faces)]
    names = model.attributes if options.attributes is None else options.attributes
    columns = [(list(model.attributes).index(n), list(dataset.attributes).index(n)) for n in names]
    right = [float((found[:, mine] == truth[:, label]).mean()) for mine, label in columns]
    return Measurement(
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        faces=counted.faces,
        evaluator_accuracy=evaluator.accuracy,
        along={name: tuple(others) for name, others in options.along.items()},
        edits=counted.edits,
        image_size=model.image_size,
        mse=float(error.mean()),
        psnr=float((-10 * np.log10(np.maximum(error, 1e-10))).mean()),
        y_accuracy=dict(zip(names, right, strict=True)),
        reconstruction_flips=counted.unedited_flips["decoded"],
    )


class _Crops:
    """One batch, encoded."""

    def __init__(self, model: EditingModel, batch: Batch) -> None:
        self._model = model
        self._photos = np.ascontiguousarray(batch.images.numpy().transpose(0, 2, 3, 1))
        self.crops = face_crops(self._photos, model.image_size)
        self.encoding = model.encode(self.crops)
        self.source = model.decode(self.encoding, self.encoding.y).image
        rebuilt = composed(self._photos, self.crops, self.source, self.source, "replace")
        self.unedited: dict[View, Tensor | None] = {
            "decoded": torch.from_numpy(self.source),
            "delta": None,  # it leaves the photo as it is where nothing is edited
            "replace": torch.from_numpy(rebuilt),
        }

    def edited(self, rows: npt.NDArray[np.intp], attribute: str, value: float) -> Mapping[View, Tensor]:
        y = self.encoding.y[rows].copy()
        y[:, list(self._model.attributes).index(attribute)] = value
        target = self._model.decode(self.encoding.rows(rows), y).image
        shown: dict[View, Float32Array] = {"decoded": target}
        for mode in MODES:
            shown[mode] = composed(self._photos[rows], self.crops[rows], self.source[rows], target, mode)
        return {path: torch.from_numpy(np.ascontiguousarray(images)) for path, images in shown.items()}


def composed(
    photos_nhwc: UInt8Array,
    crops: Float32Array,
    source: Float32Array,
    target: Float32Array,
    mode: Blend,
) -> Float32Array:
    """Blend each face into its photo with the runtime's own compositor.

    photos uint8 (N, P, P, 3) RGB; crops, source (decoded as it is) and target (as edited) float32 (N, 3, S,
    S) in [0, 1] -> float32 (N, 3, P, P) in [0, 1].
    """
    scale = crops.shape[-1] / photos_nhwc.shape[1]
    # `resize_crop` works in pixel-centre coordinates: centre (x + 1/2) goes to scale * (x + 1/2).
    matrix = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]], dtype=np.float32)
    out = []
    for photo, crop, before, after in zip(photos_nhwc, crops, source, target, strict=True):
        bgr = np.ascontiguousarray(photo[:, :, ::-1])
        out.append(composite(bgr, [FacePatch(matrix, crop, before, after)], mode)[:, :, ::-1])
    return unit(np.stack(out).transpose(0, 3, 1, 2))


def face_crops(photos_nhwc: UInt8Array, size: int) -> Float32Array:
    """uint8 (N, P, P, 3) RGB crops at full size -> float32 (N, 3, size, size) in [0, 1] for a model."""
    return unit(np.stack([resize_crop(photo, size) for photo in photos_nhwc]).transpose(0, 3, 1, 2))


def unit(images: UInt8Array) -> Float32Array:
    """0 to 255 -> [0, 1], of any shape."""
    return np.ascontiguousarray(images, dtype=np.float32) / np.float32(255)


def _tensor(array: npt.ArrayLike) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _numpy(tensor: torch.Tensor) -> Float32Array:
    return np.asarray(tensor.float().numpy())
