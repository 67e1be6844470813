"""Manifests: what is read back, and every way in which one can be wrong."""

import json

import numpy as np
import pytest

from aif.runtime.bundle.manifest import (
    SCHEMA_VERSION,
    AttributeInfo,
    Manifest,
    ShapeInfo,
    check_member_name,
    parse_manifest,
)
from aif.runtime.errors import BundleError
from aif.runtime.geometry.align import TEMPLATE_128
from aif.runtime.geometry.frame import Frame


@pytest.fixture(params=["toy_parts", "shape_toy_parts"])
def parts(request):
    """Of both kinds."""
    return request.getfixturevalue(request.param)


def test_survives_json(parts):
    manifest = parts.manifest.model_copy(update={"parity": {"fp32": {1: 1e-6, 16: 2e-6}}})
    assert parse_manifest(manifest.to_json(), "x") == manifest


def test_what_stands_in_a_graph_can_be_read(parts):
    """All but the files; the mean shape stays, for without it nobody can make the graph's inputs."""
    manifest = parts.manifest.without_files()
    assert parse_manifest(manifest.to_json(), "x") == manifest
    assert manifest.files() == [] and manifest.shape == parts.manifest.shape


def test_the_frame_is_made_once_and_rounded_to_six_decimals(shape_toy_parts, toy_parts):
    manifest = shape_toy_parts.manifest
    frame = manifest.face_frame
    assert isinstance(frame, Frame) and manifest.face_frame is frame
    assert toy_parts.manifest.face_frame is None
    rough = Frame(frame.mean + np.float32(1 / 3), frame.triangles)
    info = ShapeInfo.of(rough)
    assert all(value == round(value, 6) for point in info.mean for value in point)
    np.testing.assert_allclose(info.frame().mean, rough.mean, atol=1e-6)
    np.testing.assert_array_equal(info.frame().triangles, rough.triangles)


def test_default_template_is_the_aligner_s(toy_parts):
    np.testing.assert_allclose(toy_parts.manifest.template, TEMPLATE_128)


def _changed(manifest, path, value):
    data = json.loads(manifest.to_json())
    place = data
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(data)


COLOUR = {"lightness": -0.5, "red": 0.2, "blue": -0.2, "contrast": 0.3}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["schema_version"], 4, "pip install -U aif"),
        (["schema_version"], 1, "aif<0.2"),
        (["schema_version"], True, "no schema version"),
        (["schema_version"], ..., "no schema version"),
        (["name"], "", "name"),
        (["image_size"], 10**9, "image_size"),
        (["attributes", 0, "name"], "Blond_Hair", "named twice"),
        (["attributes", 0, "minimum"], 0.5, "must hold 0 and 1"),
        (["attributes", 0, "default_on"], 7, "outside its range"),
        (["features"], ["feature_1"], "feature_0, feature_1"),
        (["template", 0, 0], 50.0, "another landmark template"),
        (["graphs", "fp32", "encoder", "sha256"], "abc", "sha256"),
        (["graphs", "fp32", "encoder", "file"], "../x.onnx", "leaves the bundle"),
        (["landmarks", "file"], "/etc/passwd", "leaves the bundle"),
        (["provenance", "metrics"], {"mse": float("inf")}, "metrics"),
        (["passes_through"], False, "passes_through"),
        (["compositing"], "warp", "delta or replace"),
        (["frame"], "shape", "needs a mean shape"),
        (["attributes", 0, "off"], 0.9, "attributes.0.off"),
        (["attributes", 0, "takes_along"], {"Blond_Hair": 1.5}, "attributes.0.takes_along"),
        (["attributes", 0, "takes_along"], {"Smiling": 0.5}, "takes along or excludes itself"),
        (["attributes", 0, "takes_along_off"], {"Blond_Hair": 0.5}, "does not take along otherwise"),
        (["attributes", 0, "takes_along"], {"Frowning": 0.5}, "Frowning is no attribute"),
        (["attributes", 0, "excludes"], ["Smiling"], "takes along or excludes itself"),
        (["hair"], {"Red_Hair": {"on": COLOUR, "off": COLOUR}}, "Red_Hair is no attribute"),
        (["hair"], {"Blond_Hair": {"on": {**COLOUR, "red": float("inf")}, "off": COLOUR}}, "red"),
    ],
)
def test_refuses(toy_parts, path, value, says):
    with pytest.raises(BundleError, match="the bundle") as caught:
        parse_manifest(_changed(toy_parts.manifest, path, value), "the bundle")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["shape"], ..., "needs a mean shape"),
        (["frame"], ..., "only the frame 'shape'"),
        (["shape", "mean", 7, 0], float("nan"), "shape.mean.7.0"),
        (["shape", "triangles", 0, 1], 257, "vertices outside 0 to 256"),
        (["landmarks"], None, "needs a landmark network"),
        (["compositing"], "delta", "composited by warp"),
        (["features"], ["feature_0"], "no features"),
        (["source_values"], "rounded", "as predicted"),
    ],
)
def test_refuses_a_model_with_shape(shape_toy_parts, path, value, says):
    with pytest.raises(BundleError, match="the bundle") as caught:
        parse_manifest(_changed(shape_toy_parts.manifest, path, value), "the bundle")
    assert says in str(caught.value)


@pytest.mark.parametrize("fields", [{"matte": None}, {"hair": {}}, {"landmarks": None, "graphs": {}}])
def test_a_model_with_shape_may_do_without(shape_toy_parts, fields):
    manifest = Manifest.model_validate({**shape_toy_parts.manifest.model_dump(), **fields})
    assert manifest.schema_version == SCHEMA_VERSION == 3


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "1", '"x"', "\x00", b"\xff\xfe\x00", "[" * 100_000])
def test_refuses_what_is_no_manifest(text):
    with pytest.raises(BundleError, match=r"manifest\.json"):
        parse_manifest(text, "the bundle")


@pytest.mark.parametrize("name", ["encoder.onnx", "fp16/encoder.onnx", "a..b"])
def test_member_names(name):
    assert check_member_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        "/x",
        "C:x",
        "\\\\server\\x",
        "a\\..\\x",
        "a\nb",
        "x" * 300,
    ],
)
def test_names_that_leave(name):
    with pytest.raises(ValueError, match="leaves the bundle"):
        check_member_name(name)


def test_an_attribute_knows_whom_its_edits_change():
    info = AttributeInfo(name="A", off=-3, on=4, takes_along={"B": 0.6, "C": 1}, excludes=("D",))
    assert info.others == {"B", "C", "D"}
