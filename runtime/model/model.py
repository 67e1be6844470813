"""Encoder and decoder of a bundle as one object: face crops to codes and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.errors import AifError, BundleError, ProviderError
from aif.runtime.geometry.points import COUNT
from aif.runtime.model.codes import Decoded, Encoding
from aif.runtime.networks.cpu import multiplies_int8
from aif.runtime.networks.sessions import Device, Provider, Session, choose_devices

if TYPE_CHECKING:
    from aif.runtime.tensorrt.engine import EngineSession

__all__ = ["INT8_PAYS", "MAX_BATCH", "AnyDevice", "Decoded", "Encoding", "FaceModel", "preferred_precision"]

logger = logging.getLogger(__name__)

_Shapes = Mapping[str, tuple[int | None, ...] | None]
AnyDevice = Device | Literal["tensorrt"]

# Which precision to take when none is asked for.
_PREFERRED: dict[Device, tuple[str, ...]] = {
    "cpu": ("fp32", "fp16"),
    "cuda": ("fp16", "fp32"),
    "openvino": ("fp32", "fp16"),
    "ort-tensorrt": ("fp16", "fp32"),
}

# How many times faster than FP32 an export must have measured INT8 to be for it to be taken unasked.
INT8_PAYS = 1.5

# Larger batches are run in pieces of this many faces, which bounds the memory.
MAX_BATCH = 16


class FaceModel:
    """The networks of a bundle on one device. Calls may come from several threads at once.

    Attributes:
        bundle, manifest: where it came from.
        device: where it really runs.
        precision: the precision in use.
        attributes: names of y's columns.
        image_size: side of a face crop in pixels.
    """

    def __init__(
        self,
        bundle: Bundle,
        provider: Provider = "cpu",
        threads: int | None = None,
        precision: str | None = None,
        cuda_graph: bool = False,
    ) -> None:
        """Load both graphs.

        Args:
            bundle: a verified bundle.
            provider: "cpu", "cuda", "tensorrt" (the bundle's engines), "openvino", "ort-tensorrt", or "auto":
                TensorRT where the user's own cache has engines that fit, else CUDA where it really loads,
                else the processor. Engines that came with a bundle may run programs of their own: only
                "tensorrt" takes them.
            threads: threads of one call on the CPU; None = one a core.
            precision: None takes FP32 on the CPU and FP16 on CUDA, where the bundle has them; on the CPU
                INT8 instead, where the export measured it at 1.5 times the speed and the processor is known
                to multiply 8-bit numbers.
            cuda_graph: see `Session` and `EngineSession`; needs provider "cuda" or "tensorrt".

        Raises:
            BundleError: no such precision, or graphs that do not fit the manifest.
            ProviderError: what was asked for cannot be loaded.
        """
        devices: tuple[AnyDevice, ...] = choose_devices(provider)
        if provider == "auto" and _has_own_engines(bundle):
            devices = ("tensorrt", *devices)
        for device, following in zip(devices, (*devices[1:], None), strict=True):
            last = following is None
            try:
                if device == "tensorrt":
                    from aif.runtime.tensorrt.load import load_engines

                    engines = load_engines(bundle, precision, cuda_graph, provider == "tensorrt")
                    self._take(bundle, engines.precision, engines.encoder, engines.decoder)
                    return
                chosen = preferred_precision(bundle.manifest, device) if precision is None else precision
                graphs = (bundle.graph_bytes(chosen, part) for part in ("encoder", "decoder"))
                encoder = Session(next(graphs), device, threads, "encoder", not last, cuda_graph)
                decoder = Session(next(graphs), device, threads, "decoder", not last, cuda_graph)
                self._take(bundle, chosen, encoder, decoder)
                return
            except AifError as error:
                if following is None or not (device == "tensorrt" or isinstance(error, ProviderError)):
                    raise
                where = "CUDA" if following == "cuda" else "the processor"
                logger.info("Running on %s: %s %s", where, error.message, error.fix or "")

    @property
    def networks(self) -> tuple[Session | EngineSession, Session | EngineSession]:
        """Encoder and decoder as they are loaded."""
        return self._encoder, self._decoder

    @classmethod
    def around(
        cls,
        bundle: Bundle,
        precision: str,
        encoder: Session | EngineSession,
        decoder: Session | EngineSession,
    ) -> Self:
        """A model of networks that are loaded already.

        Raises:
            BundleError: they do not fit the manifest.
        """
        model = cls.__new__(cls)
        model._take(bundle, precision, encoder, decoder)
        return model

    def _take(
        self,
        bundle: Bundle,
        precision: str,
        encoder: Session | EngineSession,
        decoder: Session | EngineSession,
    ) -> None:
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.attributes = self.manifest.attribute_names
        self.image_size = self.manifest.image_size
        self.precision = precision
        self._encoder, self._decoder = encoder, decoder
        self.device: AnyDevice = encoder.device
        self._check_graphs()

    def encode(self, crops_nchw: npt.ArrayLike, landmarks: npt.ArrayLike | None = None) -> Encoding:
        """Encode aligned face crops, or textures with their landmarks.

        Args:
            crops_nchw: float32 (N, 3, S, S) RGB in [0, 1]; N may be 0. Textures (`Frame.normalise`), where
                the manifest's frame is "shape".
            landmarks: float32 (N, 221, 2) in units of the crop's side, if and only if the frame is "shape".

        Raises:
            ValueError: another shape; landmarks that the model does not take, or none where it does.
        """
        inputs = self._encoder_inputs(crops_nchw, landmarks)
        names = ["z", "y", *self.manifest.features]
        pieces, held = [], None
        for start in _starts(len(inputs["image"])):
            part = {name: values[start : start + MAX_BATCH] for name, values in inputs.items()}
            if isinstance(self._encoder, Session):
                pieces.append(self._encoder.run(names, part))
            else:
                piece, held = self._encoder.run_and_hold(names, part)
                pieces.append(piece)
        z, y, *features = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
        named = dict(zip(self.manifest.features, features, strict=True))
        return Encoding(z, y, named, held.given_out(z, *features) if held and len(pieces) == 1 else None)

    def _encoder_inputs(
        self, crops_nchw: npt.ArrayLike, landmarks: npt.ArrayLike | None
    ) -> dict[str, Float32Array]:
        crops = np.ascontiguousarray(crops_nchw, dtype=np.float32)
        if crops.ndim != 4 or crops.shape[1:] != (3, self.image_size, self.image_size):
            raise ValueError(f"crops must be (N, 3, {self.image_size}, {self.image_size}), not {crops.shape}")
        if not self._shaped:
            if landmarks is not None:
                raise ValueError("this model has no shape: it takes no landmarks")
            return {"image": crops}
        if landmarks is None:
            raise ValueError(f"this model takes landmarks beside textures: (N, {COUNT}, 2)")
        points = np.ascontiguousarray(landmarks, dtype=np.float32)
        if points.shape != (len(crops), COUNT, 2):
            raise ValueError(f"landmarks must be {(len(crops), COUNT, 2)}, not {points.shape}")
        return {"image": crops, "landmarks": points}

    def decode(self, encoding: Encoding, y: npt.ArrayLike) -> Decoded:
        """Decode faces with the attribute values `y` in place of the encoder's own.

        Args:
            encoding: N faces.
            y: (N, A) attribute values.

        Raises:
            ValueError: y has another shape.
        """
        values = np.ascontiguousarray(y, dtype=np.float32)
        if values.shape != (len(encoding), len(self.attributes)):
            raise ValueError(f"y must be {(len(encoding), len(self.attributes))}, not {values.shape}")
        pieces = []
        for start in _starts(len(encoding)):
            part = encoding.rows(slice(start, start + MAX_BATCH))
            inputs = {"z": part.z, "y": values[start : start + MAX_BATCH], **part.features}
            pieces.append(self._decoder.run(self._outputs, inputs))
        return _decoded(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))

    def decode_both(
        self, encoding: Encoding, source: npt.ArrayLike, target: npt.ArrayLike
    ) -> tuple[Decoded, Decoded]:
        """Decode faces with two sets of attribute values in the same way: equal values give equal faces.

        In one batch, or, where the encoding is still on the card, in two that take it from there.

        Args:
            encoding: N faces.
            source, target: (N, A) attribute values.

        Raises:
            ValueError: the values have another shape.
        """
        pair = [np.asarray(values, dtype=np.float32) for values in (source, target)]
        if any(values.shape != encoding.y.shape for values in pair):
            raise ValueError(f"the values must be {encoding.y.shape}, not {[v.shape for v in pair]}")
        held, codes = encoding.held, (encoding.z, *encoding.features.values())
        if held is not None and held.is_of(*codes) and not isinstance(self._decoder, Session):
            found = self._decoder.run_from(held, self._outputs, [{"y": values} for values in pair])
            if found is not None:
                return _decoded(*found[0]), _decoded(*found[1])
        both = self.decode(encoding.repeat(2), np.concatenate(pair))
        return both.rows(slice(len(encoding))), both.rows(slice(len(encoding), None))

    @property
    def _shaped(self) -> bool:
        return self.manifest.frame == "shape"

    @property
    def _outputs(self) -> list[str]:
        return ["image", "landmarks"] if self._shaped else ["image"]

    def _check_graphs(self) -> None:
        """Raise BundleError unless both graphs take and give what the manifest says."""
        size, count = self.image_size, len(self.attributes)
        z, y = (None, self.manifest.latent_size), (None, count)
        seen: _Shapes = {"image": (None, 3, size, size)}
        if self._shaped:
            seen = {**seen, "landmarks": (None, COUNT, 2)}
        features = {name: self._encoder.outputs.get(name) for name in self.manifest.features}
        expected: list[tuple[Session | EngineSession, str, _Shapes, _Shapes]] = [
            (self._encoder, "takes", self._encoder.inputs, seen),
            (self._encoder, "gives", self._encoder.outputs, {"z": z, "y": y, **features}),
            (self._decoder, "takes", self._decoder.inputs, {"z": z, "y": y, **features}),
            (self._decoder, "gives", self._decoder.outputs, seen),
        ]
        for session, verb, found, wanted in expected:
            if found != wanted:
                raise BundleError(
                    f"{self.bundle.path}: the {session.name} {verb} {_described(found)}, "
                    f"where the manifest says {_described(wanted)}.",
                    "Export the bundle again with aif-export.",
                )


def preferred_precision(manifest: Manifest, device: Device) -> str:
    """Which of the bundle's precisions runs on a device when none is asked for."""
    known, int8 = manifest.graphs, manifest.variants.get("int8")
    if device == "cpu" and int8 is not None and int8.speedup >= INT8_PAYS and multiplies_int8():
        return "int8"
    return next((p for p in _PREFERRED[device] if p in known), next(iter(known)))


def _has_own_engines(bundle: Bundle) -> bool:
    """Whether the user's cache has engines for the bundle; says so where others came with the bundle."""
    from aif.runtime.tensorrt.store import brings_engines, find_engines

    if brings_engines(bundle):
        logger.info("%s brings TensorRT engines; they are used with --provider tensorrt only.", bundle.path)
    listing = find_engines(bundle, brought=False)
    return bool(listing.engines or listing.faults)


def _decoded(image: Float32Array, landmarks: Float32Array | None = None) -> Decoded:
    return Decoded(image.clip(0, 1), landmarks)


def _starts(count: int) -> range:
    """Where the pieces of a batch begin; one empty piece for an empty batch."""
    return range(0, max(count, 1), MAX_BATCH)


def _described(shapes: _Shapes) -> str:
    def text(shape: tuple[int | None, ...] | None) -> str:
        return "missing" if shape is None else "x".join("N" if n is None else str(n) for n in shape)

    return ", ".join(f"{name} {text(shape)}" for name, shape in shapes.items())
