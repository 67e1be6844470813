"""An encoder and a decoder as one object: face crops to codes and back, whatever runs the two networks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aif.runtime.arrays import Float32Array
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.errors import BundleError
from aif.runtime.geometry.points import COUNT
from aif.runtime.model.codes import Decoded, Encoding
from aif.runtime.networks.network import AnyDevice, Network, Shape, in_pieces

_Shapes = Mapping[str, Shape | None]


class Autoencoder:
    """Two loaded networks that fit a manifest. Calls may come from several threads at once.

    Attributes:
        device: where they really run.
        attributes: names of y's columns.
        image_size: S, side of a face crop in pixels.
    """

    def __init__(
        self, manifest: Manifest, precision: str, encoder: Network, decoder: Network, where: str
    ) -> None:
        """Use two networks; `where` is what to call their bundle in an error.

        Raises:
            BundleError: they do not take and give what the manifest says.
        """
        self.manifest, self.precision = manifest, precision
        self.attributes, self.image_size = manifest.attribute_names, manifest.image_size
        self.encoder, self.decoder = encoder, decoder
        self.device: AnyDevice = encoder.device
        self._check_graphs(where)

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
        z, y, *features = in_pieces(self.encoder.run, ["z", "y", *self.manifest.features], inputs)
        return Encoding(z, y, dict(zip(self.manifest.features, features, strict=True)))

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
        points = np.ascontiguousarray(() if landmarks is None else landmarks, dtype=np.float32)
        if points.shape != (len(crops), COUNT, 2):
            raise ValueError(f"this model takes landmarks {(len(crops), COUNT, 2)}, not {points.shape}")
        return {"image": crops, "landmarks": points}

    def decode(self, encoding: Encoding, y: npt.ArrayLike) -> Decoded:
        """Decode faces with the attribute values `y` in place of the encoder's own.

        Raises:
            ValueError: y has another shape.
        """
        values = np.ascontiguousarray(y, dtype=np.float32)
        if values.shape != (len(encoding), len(self.attributes)):
            raise ValueError(f"y must be {(len(encoding), len(self.attributes))}, not {values.shape}")
        inputs = {"z": encoding.z, "y": values, **encoding.features}
        image, *more = in_pieces(self.decoder.run, list(Decoded.names(self._shaped)), inputs)
        return Decoded(image.clip(0, 1), *more)

    def decode_both(
        self, encoding: Encoding, source: npt.ArrayLike, target: npt.ArrayLike
    ) -> tuple[Decoded, Decoded]:
        """Decode N faces with two sets of values (N, A), in one batch: equal values give equal faces.

        Raises:
            ValueError: the values have another shape.
        """
        both = self.decode(encoding.repeat(2), np.concatenate([source, target]))
        return both.rows(slice(len(encoding))), both.rows(slice(len(encoding), None))

    @property
    def _shaped(self) -> bool:
        return self.manifest.frame == "shape"

    def _check_graphs(self, where: str) -> None:
        size, count = self.image_size, len(self.attributes)
        z, y = (None, self.manifest.latent_size), (None, count)
        shapes: _Shapes = {
            "image": (None, 3, size, size),
            "landmarks": (None, COUNT, 2),
            "detail": (None, 3, size // 4, size // 4),
        }
        made = {name: shapes[name] for name in Decoded.names(self._shaped)}
        seen = {name: shape for name, shape in made.items() if name != "detail"}
        features = {name: self.encoder.outputs.get(name) for name in self.manifest.features}
        expected: list[tuple[Network, str, _Shapes, _Shapes]] = [
            (self.encoder, "takes", self.encoder.inputs, seen),
            (self.encoder, "gives", self.encoder.outputs, {"z": z, "y": y, **features}),
            (self.decoder, "takes", self.decoder.inputs, {"z": z, "y": y, **features}),
            (self.decoder, "gives", self.decoder.outputs, made),
        ]
        for network, verb, found, wanted in expected:
            if found != wanted:
                raise BundleError(
                    f"{where}: the {network.name} {verb} {_described(found)}, "
                    f"where the manifest says {_described(wanted)}.",
                    "Export the bundle again with aif-export.",
                )


def _described(shapes: _Shapes) -> str:
    def text(shape: Shape | None) -> str:
        return "missing" if shape is None else "x".join("N" if n is None else str(n) for n in shape)

    return ", ".join(f"{name} {text(shape)}" for name, shape in shapes.items())
