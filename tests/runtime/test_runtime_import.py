"""What importing the runtime costs and what it must never bring along."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

import aif.runtime


def _modules_after(statement):
    code = f"import sys, json\n{statement}\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_is_cheap():
    heavy = {"numpy", "cv2", "onnxruntime", "pydantic", "torch", "onnx"}
    assert not heavy & _modules_after("import aif.runtime; dir(aif.runtime)")


def test_the_editor_brings_no_training_code():
    loaded = _modules_after("from aif.runtime import Editor")
    assert {"cv2", "onnxruntime"} <= loaded
    assert not {"torch", "torchvision", "lightning", "onnx", "aif.train", "aif.export", "aif.cli"} & loaded


@pytest.mark.parametrize("name", aif.runtime.__all__)
def test_every_public_name_is_there(name):
    assert getattr(aif.runtime, name).__name__ == name
    assert name in dir(aif.runtime)


def test_the_version_is_that_of_the_package():
    assert aif.runtime.__version__ == version("aif")


@pytest.mark.parametrize("name", ["editor_", "Nothing", "torch"])
def test_other_names_are_not(name):
    with pytest.raises(AttributeError, match=name):
        getattr(aif.runtime, name)
