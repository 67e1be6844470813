"""An exported repository on real Triton servers, against the local runtime, on a real face.

Needs an environment with PyTriton, which brings a Triton server in its wheel and cannot live with NumPy 2:

    uv venv --python /usr/bin/python3 triton-env     # a Python whose libpython is a shared library
    uv pip install --python triton-env/bin/python nvidia-pytriton onnxruntime
    AIF_PYTRITON_PYTHON=$PWD/triton-env/bin/python pytest tests/export/serving/test_triton_served.py

One server reads the repository as it was written, ensembles and all; PyTriton's wheel has no ONNX Runtime
backend, so triton_backends/ stands in for that library. The other is PyTriton itself, with docs/examples.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aif.export.graphs.faces import FaceReader
from aif.export.triton.repository import TritonOptions, export_triton
from aif.runtime import Editor
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.values import decode_values
from aif.runtime.faces.detect import make_detector
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.geometry.align import similarity_transform, warp_crop
from aif.runtime.model.model import FaceModel

triton = pytest.importorskip("tritonclient.grpc", reason='needs pip install "aif[triton]"')

PYTHON = os.environ.get("AIF_PYTRITON_PYTHON", "")
EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
BATCH = 8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON,
        reason="needs PyTriton in an environment of its own: uv venv --python /usr/bin/python3 triton-env && "
        "uv pip install --python triton-env/bin/python nvidia-pytriton onnxruntime && "
        "export AIF_PYTRITON_PYTHON=$PWD/triton-env/bin/python",
    ),
]

ASK = """
import importlib.util, json, sys, sysconfig
place = importlib.util.find_spec("pytriton").submodule_search_locations[0]
print(json.dumps([place, "%d.%d" % sys.version_info[:2], sysconfig.get_config_var("LIBDIR")]))
"""


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Server:
    """A server in a process of its own, and a client of it."""

    def __init__(self, command, grpc, log, environment):
        self.log, self.starts = log, 0
        self.command, self.environment = command, {**os.environ, **environment}
        self.start()
        self.url = f"127.0.0.1:{grpc}"
        self.client = triton.InferenceServerClient(self.url)

    def start(self):
        self.starts += 1
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=subprocess.STDOUT, env=self.environment
            )

    def wait(self, models, seconds=300):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                # Triton's Python backend now and then loses a lock of its own as it starts, and dies.
                if self.starts > 1 or "boost::interprocess::lock_exception" not in self.log.read_text():
                    break
                self.start()
            try:
                if all(self.client.is_model_ready(name) for name in models):
                    return self
            except triton.InferenceServerException:
                pass
            time.sleep(0.1)
        raise AssertionError(f"the server is not ready:\n{self.log.read_text()[-4000:]}")

    def ask(self, model, outputs, **inputs):
        answer = self.client.infer(model, tensors(inputs), outputs=[requested(name) for name in outputs])
        return [answer.as_numpy(name) for name in outputs]

    def counts(self, model):
        """Faces computed, and batches they were computed in."""
        found, before = (0, 0), None
        while found != before:  # Triton counts after it has answered
            before = found
            time.sleep(0.1)
            (stats,) = self.client.get_inference_statistics(model).model_stats
            found = stats.inference_count, stats.execution_count
        return found

    def ask_to_stop(self):
        self.client.close()
        self.process.send_signal(signal.SIGINT)

    def wait_for_end(self):
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def tensors(inputs):
    found = []
    for name, values in inputs.items():
        found.append(triton.InferInput(name, values.shape, "FP32"))
        found[-1].set_data_from_numpy(values)
    return found


def requested(name, classes=0):
    return triton.InferRequestedOutput(name, class_count=classes)


@pytest.fixture(scope="module")
def bundle():
    return Bundle.open()


@pytest.fixture(scope="module")
def servers(bundle, small_bundle, tmp_path_factory):
    """Both servers, started side by side: "triton" and "pytriton"."""
    folder = tmp_path_factory.mktemp("triton")
    options = TritonOptions(max_batch=BATCH)
    ours = export_triton(bundle, folder / "ours", options)
    small = export_triton(small_bundle(), folder / "small", options)
    asked = subprocess.run([PYTHON, "-c", ASK], capture_output=True, check=True, timeout=60)
    place, version, libraries = json.loads(asked.stdout)
    wheel = Path(place)
    home = tempfile.mkdtemp(prefix="aif")  # sockets lie in it, whose paths may have 107 characters
    environment = {
        "LD_LIBRARY_PATH": f"{wheel.parent / 'nvidia_pytriton.libs'}:{libraries}",
        "PATH": f"{Path(PYTHON).parent}:{os.environ['PATH']}",
        "PYTRITON_HOME": home,
    }
    backends = folder / "backends"
    shutil.copytree(Path(__file__).parent / "triton_backends", backends)
    shutil.copytree(wheel / "tritonserver" / "backends" / "python", backends / "python")
    stub = "triton_python_backend_stub"
    shutil.copy(wheel / "tritonserver" / "python_backend_stubs" / version / stub, backends / "python" / stub)
    first, second = _free_ports(3), _free_ports(3)
    started = {}
    try:
        words = [str(wheel / "tritonserver" / "bin" / "tritonserver"), "--disable-auto-complete-config"]
        words += [f"--model-repository={each.path}" for each in (ours, small)]
        words += [f"--backend-directory={backends}", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1"]
        words += [f"--{n}-port={p}" for n, p in zip(("http", "grpc", "metrics"), first, strict=True)]
        started["triton"] = Server(words, first[1], folder / "triton.log", environment)
        words = [PYTHON, str(EXAMPLES / "serve_pytriton.py"), str(ours.path)]
        words += [f"--{n}-port={p}" for n, p in zip(("http", "grpc", "metrics"), second, strict=True)]
        started["pytriton"] = Server(words, second[1], folder / "pytriton.log", environment)
        started["triton"].wait([*ours.models, *small.models])
        started["pytriton"].wait([name for name in ours.models if name not in ours.ensembles])
        yield started
    finally:
        for each in started.values():
            each.ask_to_stop()
        for each in started.values():
            each.wait_for_end()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def server(servers):
    return servers["triton"]


@pytest.fixture(scope="module")
def name(bundle):
    return f"{bundle.manifest.name}_fp32"


@pytest.fixture(scope="module")
def model(bundle):
    return FaceModel(bundle, "cpu", 1, "fp32")


@pytest.fixture(scope="module")
def portrait_bgr():
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:240, 110:310, ::-1])


@pytest.fixture(scope="module")
def faces(portrait_bgr, bundle):
    """Eight of a real face, as the encoder takes them: as it is, mirrored, darker, moved."""
    (face,) = make_detector("haar", bundle).detect(portrait_bgr)
    size = bundle.manifest.image_size
    matrices = [similarity_transform(face.landmarks + np.float32(step), size) for step in (0, 2, -3, 5)]
    found = [warp_crop(portrait_bgr, matrix, size)[:, :, ::-1] for matrix in matrices]
    more = [found[0][:, ::-1], found[1][:, ::-1], (found[2] * 0.7).astype(np.uint8), found[3] // 2]
    frame = bundle.manifest.face_frame
    finder = None if frame is None else LandmarkNet(bundle, 1)
    return FaceReader(size, frame, finder).from_crops([np.ascontiguousarray(c) for c in (*found, *more)])


@pytest.fixture(scope="module")
def local(model, faces):
    """What the local runtime's encoder says of them."""
    return model.encode(faces.images, faces.landmarks)


def outputs_of(decoded):
    return [decoded.image] if decoded.landmarks is None else [decoded.image, decoded.landmarks]


@pytest.mark.parametrize("which", ["triton", "pytriton"])
@pytest.mark.parametrize("count", [1, BATCH])
def test_encoder_and_decoder_answer_as_the_local_runtime(servers, model, name, faces, local, which, count):
    some, known = faces.rows(slice(count)), local.rows(slice(count))
    more = model.manifest.features
    z, y, *features = servers[which].ask(f"{name}_encoder", ["z", "y", *more], **some.feeds())
    np.testing.assert_allclose(z, known.z, atol=1e-4, rtol=0)
    np.testing.assert_allclose(y, known.y, atol=1e-4, rtol=0)
    edit = np.ascontiguousarray(1 - known.y)
    given = dict(zip(more, features, strict=True))
    found = servers[which].ask(f"{name}_decoder", list(some.feeds()), z=z, y=edit, **given)
    for each, wanted in zip(found, outputs_of(model.decode(known, edit)), strict=True):
        np.testing.assert_allclose(each, wanted, atol=1e-4, rtol=0)
    assert np.abs(found[0] - model.decode(known, known.y).image).max() > 0.1, "the edit shows"


def test_the_ensemble_edits_in_one_request(server, model, name, faces, local):
    target = np.full_like(local.y, np.nan)  # left as the encoder sees it
    target[:, 0] = 1
    names = ["edited_image", "y", "reconstruction"]
    if faces.landmarks is not None:
        names += ["edited_landmarks", "reconstruction_landmarks"]
    asked = server.ask(name, names, **faces.feeds(), y_target=target)
    found = dict(zip(names, asked, strict=True))
    manifest = model.manifest
    before, after = decode_values(local.y, {0: 1.0}, manifest.attributes, manifest.source_values)
    wanted = {"y": local.y}
    for what, values in (("edited", after), ("reconstruction", before)):
        decoded = model.decode(local, values)
        wanted["edited_image" if what == "edited" else what] = decoded.image
        if decoded.landmarks is not None:
            wanted[f"{what}_landmarks"] = decoded.landmarks
    assert found.keys() == wanted.keys()
    for each, values in found.items():
        np.testing.assert_allclose(values, wanted[each], atol=1e-4, rtol=0, err_msg=each)


def test_requests_are_joined_to_batches_and_each_gets_its_own_answer(server, name, faces, local):
    answers: dict[int, Any] = {}
    before = server.counts(f"{name}_encoder")
    for number in range(48):
        place = number % len(faces)
        server.client.async_infer(
            f"{name}_encoder",
            tensors(faces.rows(slice(place, place + 1)).feeds()),
            lambda result, error, number=number: answers.__setitem__(number, (result, error)),
        )
    end = time.monotonic() + 60
    while len(answers) < 48 and time.monotonic() < end:
        time.sleep(0.01)
    for number, (result, error) in answers.items():
        assert error is None
        np.testing.assert_allclose(result.as_numpy("z")[0], local.z[number % len(faces)], atol=1e-4, rtol=0)
    faces, batches = np.subtract(server.counts(f"{name}_encoder"), before)
    assert len(answers) == faces == 48
    assert batches < 48


def test_the_example_client_edits_a_photo_as_the_local_editor_does(server, bundle, name, portrait_bgr):
    source = (EXAMPLES / "triton_client.py").read_text(encoding="utf-8")
    example: dict[str, Any] = {"__name__": "triton_client"}
    exec(compile(source, "triton_client.py", "exec"), example)
    finder = make_detector("haar", bundle)
    served = Editor(example["ServedModel"](bundle, server.url, name), finder)
    found = served.edit(portrait_bgr, {"Smiling": 0.0}).image_hwc_bgr.astype(int)
    with Editor.load(bundle, "cpu", "haar", 1, "fp32") as editor:
        wanted = editor.edit(portrait_bgr, {"Smiling": 0.0}).image_hwc_bgr
    assert np.abs(found - wanted).max() <= 1
    assert np.abs(found - portrait_bgr).max() > 25
