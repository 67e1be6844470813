"""Edit a photo on a Triton server: aif finds, aligns and blends the faces, the server runs the networks.

python triton_client.py photo.jpg out.jpg Smiling=1     # of `aif export-serving triton`'s model repository
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import tritonclient.grpc as triton

from aif.runtime import Editor
from aif.runtime.bundle import Bundle
from aif.runtime.detect import make_detector
from aif.runtime.manifest import parse_manifest
from aif.runtime.model import Encoding

URL, MODEL = "localhost:8001", "aif-64_fp32"


class ServedModel:
    """Stands in for the editor's own networks: `encode` and `decode` are requests."""

    def __init__(self, url: str = URL, model: str = MODEL) -> None:
        """Ask the server for the manifest of the ensemble `model`, which says all about its networks."""
        self.client, self.model = triton.InferenceServerClient(url), model
        config = self.client.get_model_config(model, as_json=True)["config"]
        self.most = int(config["max_batch_size"])
        text = config["parameters"]["aif_manifest"]["string_value"]
        self.manifest = parse_manifest(text, url)
        self.attributes, self.image_size = self.manifest.attribute_names, self.manifest.image_size

    def encode(self, crops_nchw: np.ndarray) -> Encoding:
        """As `FaceModel.encode`."""
        names = ("z", "y", *self.manifest.features)
        z, y, *features = self._run(f"{self.model}_encoder", names, {"image": crops_nchw})
        return Encoding(z, y, dict(zip(self.manifest.features, features, strict=True)))

    def decode(self, encoding: Encoding, y: np.ndarray) -> np.ndarray:
        """As `FaceModel.decode`."""
        inputs = {"z": encoding.z, "y": y, **encoding.features}
        return self._run(f"{self.model}_decoder", ("image",), inputs)[0].clip(0, 1)

    def decode_both(self, encoding: Encoding, source: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
        """As `FaceModel.decode_both`: all in as few requests as the server's batches allow."""
        return np.split(self.decode(encoding.repeat(2), np.concatenate([source, target])), 2)

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
    editor = Editor(ServedModel(), make_detector("auto", Bundle.open()))  # type: ignore[arg-type]
    cv2.imwrite(out, editor.edit(cv2.imread(photo), edits).image_hwc_bgr)


if __name__ == "__main__":
    main(*sys.argv[1:])
