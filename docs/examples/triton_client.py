"""Edit a photo on a Triton server: aif finds, aligns and blends the faces, the server runs the networks.

python triton_client.py photo.jpg out.jpg Smiling=1     # of `aif export-serving triton`'s model repository

The bundle is at hand here as well, for its landmark network and its mean shape: textures are made here
(aif's `Frame.normalise`), and edits applied.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import tritonclient.grpc as triton

from aif.runtime import Editor
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import parse_manifest
from aif.runtime.errors import BundleError
from aif.runtime.faces.detect import make_detector
from aif.runtime.model.model import Decoded, Encoding

URL = "localhost:8001"


class ServedModel:
    """Stands in for the editor's own networks: `encode` and `decode` are requests."""

    def __init__(self, bundle: Bundle, url: str = URL, model: str | None = None) -> None:
        """Ask the server for the manifest of an ensemble of this bundle; None: the one in FP32."""
        model = model or f"{bundle.manifest.name}_fp32"
        self.client, self.model, self.bundle = triton.InferenceServerClient(url), model, bundle
        config = self.client.get_model_config(model, as_json=True)["config"]
        self.most = int(config["max_batch_size"])
        self.manifest = bundle.manifest
        text = config["parameters"]["aif_manifest"]["string_value"]
        if parse_manifest(text, url) != self.manifest.without_files():
            raise BundleError(f"{url} serves another bundle than {bundle.path}.", "Export it again.")
        self.attributes, self.image_size = self.manifest.attribute_names, self.manifest.image_size

    def encode(self, crops_nchw: np.ndarray, landmarks: np.ndarray | None = None) -> Encoding:
        """As `FaceModel.encode`: crops, or textures with landmarks in units of the crop's side."""
        names = ("z", "y", *self.manifest.features)
        inputs = {"image": crops_nchw} if landmarks is None else {"image": crops_nchw, "landmarks": landmarks}
        z, y, *features = self._run(f"{self.model}_encoder", names, inputs)
        return Encoding(z, y, dict(zip(self.manifest.features, features, strict=True)))

    def decode(self, encoding: Encoding, y: np.ndarray) -> Decoded:
        """As `FaceModel.decode`."""
        outputs = Decoded.names(self.manifest.face_frame is not None)
        inputs = {"z": encoding.z, "y": y, **encoding.features}
        image, *more = self._run(f"{self.model}_decoder", outputs, inputs)
        return Decoded(image.clip(0, 1), *more)

    def decode_both(
        self, encoding: Encoding, source: np.ndarray, target: np.ndarray
    ) -> tuple[Decoded, Decoded]:
        """As `FaceModel.decode_both`: all in as few requests as the server's batches allow."""
        both, count = self.decode(encoding.repeat(2), np.concatenate([source, target])), len(encoding)
        return both.rows(slice(count)), both.rows(slice(count, None))

    def _run(self, model: str, outputs: tuple[str, ...], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        pieces = []
        for start in range(0, len(next(iter(inputs.values()))), self.most):
            tensors = []
            for name, values in inputs.items():
                part = np.ascontiguousarray(values[start : start + self.most], dtype=np.float32)
                tensors.append(triton.InferInput(name, part.shape, "FP32"))
                tensors[-1].set_data_from_numpy(part)
            answer = self.client.infer(
                model, tensors, outputs=[triton.InferRequestedOutput(name) for name in outputs]
            )
            pieces.append([answer.as_numpy(name) for name in outputs])
        return [np.concatenate(column) for column in zip(*pieces, strict=True)]


def main(photo: str, out: str, *settings: str) -> None:
    """Edit one photo."""
    edits = {name: float(value) for name, value in (text.split("=") for text in settings)}
    bundle = Bundle.open()  # the one that the server has
    editor = Editor(ServedModel(bundle), make_detector("auto", bundle))  # type: ignore[arg-type]
    cv2.imwrite(out, editor.edit(cv2.imread(photo), edits).image_hwc_bgr)


if __name__ == "__main__":
    main(*sys.argv[1:])
