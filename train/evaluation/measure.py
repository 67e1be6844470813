"""Measure a model of whole crops: its reconstructions and edits, as decoded and as composed into the photo.

Edits of any kind of bundle are measured by `aif.train.evaluation.composed`. The attribute values that an edit
starts from are the encoder's own prediction, as in use.
"""

from __future__ import annotations

import dataclasses
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
from aif.train.evaluation.counting import AttributeEvaluator, Edit, EditOptions, count_edits
from aif.train.evaluation.report import Blend, Measurement, View
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
    known, size = list(model.attributes), model.image_size
    seen: list[tuple[Float32Array, Float32Array, npt.NDArray[np.int64]]] = []

    def open_batch(batch: Batch) -> tuple[Mapping[View, Tensor | None], Edit]:
        photos = np.ascontiguousarray(batch.images.numpy().transpose(0, 2, 3, 1))
        crops = unit(np.stack([resize_crop(photo, size) for photo in photos]).transpose(0, 3, 1, 2))
        encoding = model.encode(crops)
        source = model.decode(encoding, encoding.y).image
        seen.append((np.square(source - crops).mean(axis=(1, 2, 3)), encoding.y, batch.indices.numpy()))

        def edit(rows: npt.NDArray[np.intp], attribute: str, value: float) -> Mapping[View, Tensor]:
            y = encoding.y[rows].copy()
            y[:, known.index(attribute)] = value
            target = model.decode(encoding.rows(rows), y).image
            shown: dict[View, Tensor] = {"decoded": _tensor(target)}
            for mode in MODES:
                shown[mode] = composed(photos[rows], crops[rows], source[rows], target, mode)
            return shown

        return {
            "decoded": _tensor(source),
            "delta": None,  # it leaves the photo as it is where nothing is edited
            "replace": composed(photos, crops, source, source, "replace"),
        }, edit

    found = count_edits(open_batch, known, dataset, evaluator, options, indices, identity)
    error, y, faces = (np.concatenate(column) for column in zip(*seen, strict=True))
    names = model.attributes if options.attributes is None else options.attributes
    columns = [(known.index(name), list(dataset.attributes).index(name)) for name in names]
    right = [float(((y[:, mine] > 0.5) == dataset.labels[faces, label]).mean()) for mine, label in columns]
    return dataclasses.replace(
        found,
        image_size=size,
        mse=float(error.mean()),
        psnr=float((-10 * np.log10(np.maximum(error, 1e-10))).mean()),
        y_accuracy=dict(zip(names, right, strict=True)),
    )


def composed(
    photos_nhwc: UInt8Array, crops: Float32Array, source: Float32Array, target: Float32Array, mode: Blend
) -> Tensor:
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
    return torch.from_numpy(unit(np.stack(out).transpose(0, 3, 1, 2)))


def unit(images: UInt8Array) -> Float32Array:
    """0 to 255 -> [0, 1], of any shape."""
    return np.ascontiguousarray(images, dtype=np.float32) / np.float32(255)


def _tensor(array: npt.ArrayLike) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _numpy(tensor: Tensor) -> Float32Array:
    return np.asarray(tensor.float().numpy())
