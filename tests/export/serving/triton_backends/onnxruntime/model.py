"""ONNX Runtime as a backend of Triton in Python, for tests on machines without NVIDIA's own library of it.

Triton takes a folder backends/NAME with a model.py for the backend NAME, and hands it each model's
configuration and requests as it would hand them to a library.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton  # type: ignore[import-not-found]


class TritonPythonModel:
    """One instance of one network."""

    def initialize(self, args):
        """Load the graph that the configuration names."""
        config = json.loads(args["model_config"])
        graph = Path(args["model_repository"]) / args["model_version"] / config["default_model_filename"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.inputs = [entry["name"] for entry in config["input"]]
        self.outputs = [entry["name"] for entry in config["output"]]

    def execute(self, requests):
        """Run the batch that Triton has put together, and take it apart again."""
        given = [
            {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            for request in requests
        ]
        feeds = {name: np.concatenate([each[name] for each in given]) for name in self.inputs}
        found = self.session.run(self.outputs, feeds)
        ends = np.cumsum([len(each[self.inputs[0]]) for each in given])[:-1]
        pieces = zip(*(np.split(values, ends) for values in found), strict=True)
        return [
            triton.InferenceResponse([triton.Tensor(*each) for each in zip(self.outputs, piece, strict=True)])
            for piece in pieces
        ]
