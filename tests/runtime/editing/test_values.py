"""The one check of attribute values: names, ranges, and the columns of y."""

import math

import pytest

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.values import check_value, value_columns
from aif.runtime.errors import ConfigError, UnknownAttributeError

KNOWN = (AttributeInfo(name="Smiling"), AttributeInfo(name="Eyeglasses", minimum=0, maximum=1.5))


@pytest.mark.parametrize(
    ("attribute", "value"), [(0, -1), (0, 2), (0, 0.5), (0, True), (1, 0), (1, 1.5), (1, -0.0)]
)
def test_allowed(attribute, value):
    check_value(KNOWN[attribute], value)


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        (0, 2.0001, "Smiling takes -1 to 2"),
        (0, -1.0001, "Smiling takes -1 to 2"),
        (1, -1e-9, "Eyeglasses takes 0 to 1.5"),
        (1, 2, "Eyeglasses=2 is out of range"),
        (0, math.nan, "Smiling=nan"),
        (0, math.inf, "Smiling=inf"),
        (0, -math.inf, "Smiling=-inf"),
        (0, 1e300, "out of range"),
        (0, "1", "Smiling = '1' is no number"),
        (0, None, "Smiling = None is no number"),
        (0, [1], "is no number"),
    ],
)
def test_refused(attribute, value, said):
    with pytest.raises(ConfigError, match=said) as caught:
        check_value(KNOWN[attribute], value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("edits", "columns"),
    [({}, {}), ({"Eyeglasses": 1}, {1: 1}), ({"Eyeglasses": 0.5, "Smiling": -1}, {1: 0.5, 0: -1})],
)
def test_columns(edits, columns):
    assert value_columns(edits, KNOWN) == columns


@pytest.mark.parametrize(
    ("edits", "kind", "said"),
    [
        ({"smiling": 1}, UnknownAttributeError, "in the toy.\nDid you mean Smiling"),
        (None, ConfigError, "mapping of attributes to values, not NoneType"),
        (["Smiling"], ConfigError, "not list.\nWrite {"),
        ({"Hat": 1}, UnknownAttributeError, "Known names: Smiling, Eyeglasses"),
        ({"Smiling": 1, "Eyeglasses": 9}, ConfigError, "Eyeglasses=9"),
    ],
)
def test_what_is_no_edit(edits, kind, said):
    with pytest.raises(kind, match=said):
        value_columns(edits, KNOWN, "the toy")


def test_nothing_can_be_edited_without_attributes():
    assert value_columns({}, ()) == {}
    with pytest.raises(UnknownAttributeError, match="no names to choose from"):
        value_columns({"Smiling": 1}, ())
