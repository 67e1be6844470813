"""Manifests: what is read back, and every way in which one can be wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from aif.runtime.align import TEMPLATE_128
from aif.runtime.errors import BundleError
from aif.runtime.manifest import AttributeInfo, Manifest, check_member_name, parse_manifest


def test_survives_json(toy_parts: Any) -> None:
    manifest = toy_parts.manifest.model_copy(update={"parity": {"fp32": {1: 1e-6, 16: 2e-6}}})
    assert parse_manifest(manifest.to_json(), "x") == manifest


def test_default_template_is_the_aligner_s(toy_parts: Any) -> None:
    np.testing.assert_allclose(toy_parts.manifest.template, TEMPLATE_128)


def test_is_frozen(toy_parts: Any) -> None:
    with pytest.raises(ValidationError):
        toy_parts.manifest.name = "other"


def _changed(manifest: Manifest, path: list[Any], value: Any) -> str:
    data = json.loads(manifest.to_json())
    place = data
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["schema_version"], 3, "pip install -U aif"),
        (["schema_version"], 999, "newer aif"),
        (["schema_version"], "1", "no schema version"),
        (["schema_version"], True, "no schema version"),
        (["schema_version"], 0, "no schema version"),
        (["schema_version"], ..., "no schema version"),
        (["name"], "", "name"),
        (["image_size"], 0, "image_size"),
        (["image_size"], 10**9, "image_size"),
        (["latent_size"], -1, "latent_size"),
        (["attributes"], [], "attributes"),
        (["attributes", 0, "name"], "Blond_Hair", "named twice"),
        (["attributes", 0, "minimum"], 0.5, "must hold 0 and 1"),
        (["attributes", 0, "maximum"], float("nan"), "attributes.0.maximum"),
        (["attributes", 0, "default_on"], 7, "outside its range"),
        (["features"], ["feature_1"], "feature_0, feature_1"),
        (["template", 0, 0], 50.0, "another landmark template"),
        (["graphs", "fp32", "decoder"], ..., "graphs.fp32.decoder"),
        (["graphs", "fp32", "encoder", "sha256"], "abc", "sha256"),
        (["graphs", "fp32", "encoder", "file"], "../x.onnx", "leaves the bundle"),
        (["landmarks", "file"], "/etc/passwd", "leaves the bundle"),
        (["landmarks", "input_size"], 0, "input_size"),
        (["compositing"], "magic", "compositing"),
        (["provenance"], ..., "provenance"),
        (["provenance", "metrics"], {"mse": float("inf")}, "metrics"),
        (["surprise"], 1, "surprise"),
    ],
)
def test_refuses(toy_parts: Any, path: list[Any], value: Any, says: str) -> None:
    with pytest.raises(BundleError, match="the bundle") as caught:
        parse_manifest(_changed(toy_parts.manifest, path, value), "the bundle")
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '"x"', "\x00", b"\xff\xfe\x00", "[" * 100_000])
def test_refuses_what_is_no_manifest(text: str | bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        parse_manifest(text, "the bundle")


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("encoder.onnx", True),
        ("fp16/encoder.onnx", True),
        ("a..b", True),
        ("", False),
        (".", False),
        ("..", False),
        ("../x", False),
        ("a/../../x", False),
        ("a//b", False),
        ("a/", False),
        ("/x", False),
        ("C:x", False),
        ("C:/x", False),
        ("\\\\server\\x", False),
        ("a\\..\\x", False),
        ("a\x00b", False),
        ("a\nb", False),
        ("x" * 300, False),
    ],
)
def test_member_names(name: str, good: bool) -> None:
    if good:
        assert check_member_name(name) == name
    else:
        with pytest.raises(ValueError, match="leaves the bundle"):
            check_member_name(name)


def test_a_range_may_be_exactly_zero_to_one() -> None:
    assert AttributeInfo(name="Male", minimum=0, maximum=1).maximum == 1
