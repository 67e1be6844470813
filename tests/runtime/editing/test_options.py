"""Words of a command line to settings, modes and faces."""

import pytest

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.options import find_attribute, parse_faces, parse_settings, sweep_values
from aif.runtime.errors import ConfigError, UnknownAttributeError

KNOWN = (
    AttributeInfo(name="Smiling", default_on=0.9),
    AttributeInfo(name="Eyeglasses", minimum=0, maximum=1.5),
)


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        ([], {}),
        (["Smiling=1"], {"Smiling": 1}),
        (["Smiling=0.5", "Eyeglasses=0"], {"Smiling": 0.5, "Eyeglasses": 0}),
        (["Smiling=0.5, Eyeglasses"], {"Smiling": 0.5, "Eyeglasses": 1}),
        (["Smiling=-1"], {"Smiling": -1}),
        (["smiling", "EYEGLASSES=1"], {"Smiling": 0.9, "Eyeglasses": 1}),
        (["Smiling=on,Eyeglasses=off"], {"Smiling": 0.9, "Eyeglasses": 0}),
        (["Smiling=YES,Eyeglasses=False"], {"Smiling": 0.9, "Eyeglasses": 0}),
        ([" Smiling = 1e-1 "], {"Smiling": 0.1}),
    ],
)
def test_settings(texts, values):
    assert parse_settings(texts, KNOWN, "it") == values


@pytest.mark.parametrize(
    ("texts", "kind", "said"),
    [
        (["Smilng=1"], UnknownAttributeError, "Did you mean Smiling"),
        (["Smiling=1", "SMILING=0"], ConfigError, "Smiling is set twice"),
        (["Hat=1"], UnknownAttributeError, "Known names: Smiling, Eyeglasses"),
        (["=1"], ConfigError, "names no attribute"),
        (["Smiling="], ConfigError, "Smiling=0.5"),
        (["Smiling=much"], ConfigError, "no value that aif understands"),
        (["Smiling=1,"], ConfigError, "names no attribute"),
        (["Smiling=0,5"], ConfigError, "Decimals have a point"),
        (["Smiling=1=2"], ConfigError, "no value that aif understands"),
        (["Eyeglasses=-0.1"], ConfigError, "takes 0 to 1.5"),
    ],
)
def test_wrong_settings(texts, kind, said):
    with pytest.raises(kind) as caught:
        parse_settings(texts, KNOWN, "it")
    assert said in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "steps", "values"),
    [
        ("Smiling", 7, (-1, -0.5, 0, 0.5, 1, 1.5, 2)),
        ("Eyeglasses", 4, (0, 0.5, 1, 1.5)),
        ("Eyeglasses", 2, (0, 1.5)),
        ("Smiling", 10, (-1, -0.6667, -0.3333, 0, 0.3333, 0.6667, 1, 1.3333, 1.6667, 2)),
    ],
)
def test_sweeps_stay_in_the_range(name, steps, values):
    assert sweep_values(find_attribute(name.upper(), KNOWN, "it"), steps, []) == pytest.approx(values)


@pytest.mark.parametrize(
    ("name", "steps", "settings", "said"),
    [
        ("Smiling", 7, ["Smiling"], "both set and swept"),
        ("Smiling", 1, [], "2 to 50"),
        ("Smiling", 51, [], "2 to 50"),
    ],
)
def test_wrong_sweeps(name, steps, settings, said):
    with pytest.raises(ConfigError, match=said):
        sweep_values(find_attribute(name, KNOWN, "it"), steps, settings)


@pytest.mark.parametrize(("text", "faces"), [("all", "all"), ("largest", "largest"), ("0", 0), ("12", 12)])
def test_faces(text, faces):
    assert parse_faces(text) == faces


@pytest.mark.parametrize("text", ["", "-1", "1.5", "smallest", "ALL", "²"])
def test_wrong_faces(text):
    with pytest.raises(ConfigError, match="all, largest"):
        parse_faces(text)


def test_a_bundle_may_tell_capitals_apart():
    known = (AttributeInfo(name="smiling", maximum=3), AttributeInfo(name="Smiling"))
    assert [find_attribute(name, known, "it").name for name in ("Smiling", "smiling")] == [
        "Smiling",
        "smiling",
    ]
