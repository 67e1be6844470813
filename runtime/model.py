"""Encoder and decoder of a bundle as one object: face crops to codes and back."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import numpy.typing as npt

from aif.runtime.bundle import Bundle
from aif.runtime.cpu import multiplies_int8
from aif.runtime.errors import AifError, BundleError, ProviderError
from aif.runtime.manifest import Manifest
from aif.runtime.sessions import Device, Provider, Session, choose_devices

if TYPE_CHECKING:
    from aif.runtime.tensorrt_engine import EngineSession, Held

logger = logging.getLogger(__name__)

Float32Array = npt.NDArray[np.float32]
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


@dataclass(frozen=True)
class Encoding:
    """What the encoder says of N faces.

    Attributes:
        z: float32 (N, Z) identity codes, the posterior means.
        y: float32 (N, A) attribute values in [0, 1].
        features: name to float32 (N, ...) of the further tensors that the decoder takes.
        held: the same on the card, where TensorRT made them (z and features are then read-only); None
            elsewhere, and for a choice of rows.
    """

    z: Float32Array
    y: Float32Array
    features: dict[str, Float32Array] = field(default_factory=dict)
    held: Held | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.z)

    def rows(self, index: slice | npt.NDArray[np.intp]) -> Encoding:
        """The chosen faces, in the order of `index` (repeats allowed)."""
        return Encoding(self.z[index], self.y[index], {name: f[index] for name, f in self.features.items()})

    def repeat(self, times: int) -> Encoding:
        """All faces, `times` over: rows 0..N-1, 0..N-1, ..."""
        return self.rows(np.tile(np.arange(len(self)), times))


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
                    from aif.runtime.tensorrt_load import load_engines

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

    def encode(self, crops_nchw: npt.ArrayLike) -> Encoding:
        """Encode aligned face crops.

        Args:
            crops_nchw: float32 (N, 3, S, S) RGB in [0, 1]; N may be 0.

        Raises:
            ValueError: another shape.
        """
        crops = np.ascontiguousarray(crops_nchw, dtype=np.float32)
        if crops.ndim != 4 or crops.shape[1:] != (3, self.image_size, self.image_size):
            raise ValueError(f"crops must be (N, 3, {self.image_size}, {self.image_size}), not {crops.shape}")
        names = ["z", "y", *self.manifest.features]
        pieces, held = [], None
        for start in _starts(len(crops)):
            inputs = {"image": crops[start : start + MAX_BATCH]}
            if isinstance(self._encoder, Session):
                pieces.append(self._encoder.run(names, inputs))
            else:
                piece, held = self._encoder.run_and_hold(names, inputs)
                pieces.append(piece)
        z, y, *features = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
        named = dict(zip(self.manifest.features, features, strict=True))
        return Encoding(z, y, named, held.given_out(z, *features) if held and len(pieces) == 1 else None)

    def decode(self, encoding: Encoding, y: npt.ArrayLike) -> Float32Array:
        """Decode faces with the attribute values `y` in place of the encoder's own.

        Args:
            encoding: N faces.
            y: (N, A) attribute values.

        Returns:
            float32 (N, 3, S, S) RGB in [0, 1].

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
            pieces += self._decoder.run(["image"], inputs)
        return np.concatenate(pieces).clip(0, 1)

    def decode_both(
        self, encoding: Encoding, source: npt.ArrayLike, target: npt.ArrayLike
    ) -> tuple[Float32Array, Float32Array]:
        """Decode faces with two sets of attribute values in the same way: equal values give equal faces.

        In one batch, or, where the encoding still lies on the card, in two that take it from there. A decoder
        that lets the image through has nothing to draw for the source: what is asked for it is taken as read.

        Args:
            encoding: N faces.
            source, target: (N, A) attribute values.

        Returns:
            Two float32 (N, 3, S, S) RGB in [0, 1].

        Raises:
            ValueError: the values have another shape.
        """
        pair = [np.asarray(values, dtype=np.float32) for values in (source, target)]
        if any(values.shape != encoding.y.shape for values in pair):
            raise ValueError(f"the values must be {encoding.y.shape}, not {[v.shape for v in pair]}")
        if self.manifest.passes_through:
            read = dataclasses.replace(encoding, features={**encoding.features, "feature_1": pair[0]})
            return encoding.features["feature_0"], self.decode(read, pair[1])
        held, codes = encoding.held, (encoding.z, *encoding.features.values())
        if held is not None and held.is_of(*codes) and not isinstance(self._decoder, Session):
            images = self._decoder.run_from(held, "image", [{"y": values} for values in pair])
            if images is not None:
                return images[0].clip(0, 1), images[1].clip(0, 1)
        before, after = np.split(self.decode(encoding.repeat(2), np.concatenate(pair)), 2)
        return before, after

    def _check_graphs(self) -> None:
        """Raise BundleError unless both graphs take and give what the manifest says."""
        size, count = self.image_size, len(self.attributes)
        image, z, y = (None, 3, size, size), (None, self.manifest.latent_size), (None, count)
        features = {name: self._encoder.outputs.get(name) for name in self.manifest.features}
        expected: list[tuple[Session | EngineSession, str, _Shapes, _Shapes]] = [
            (self._encoder, "takes", self._encoder.inputs, {"image": image}),
            (self._encoder, "gives", self._encoder.outputs, {"z": z, "y": y, **features}),
            (self._decoder, "takes", self._decoder.inputs, {"z": z, "y": y, **features}),
            (self._decoder, "gives", self._decoder.outputs, {"image": image}),
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
    from aif.runtime.engine_store import brings_engines, find_engines

    if brings_engines(bundle):
        logger.info("%s brings TensorRT engines; they are used with --provider tensorrt only.", bundle.path)
    shelf = find_engines(bundle, brought=False)
    return bool(shelf.engines or shelf.faults)


def _starts(count: int) -> range:
    """Where the pieces of a batch begin; one empty piece for an empty batch."""
    return range(0, max(count, 1), MAX_BATCH)


def _described(shapes: _Shapes) -> str:
    def text(shape: tuple[int | None, ...] | None) -> str:
        return "missing" if shape is None else "x".join("N" if n is None else str(n) for n in shape)

    return ", ".join(f"{name} {text(shape)}" for name, shape in shapes.items())
