"""The one check of attribute values: names, ranges, and the columns of y."""

import math

import numpy as np
import pytest

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.values import check_value, decode_values, value_columns, wanted_values
from aif.runtime.errors import ConfigError, UnknownAttributeError

KNOWN = (AttributeInfo(name="Smiling"), AttributeInfo(name="Eyeglasses", minimum=0, maximum=1.5))


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        (0, 2.0001, "Smiling takes -1 to 2"),
        (1, -1e-9, "Eyeglasses takes 0 to 1.5"),
        (1, 2, "Eyeglasses=2 is out of range"),
        (0, math.nan, "Smiling=nan"),
        (0, -math.inf, "Smiling=-inf"),
        (0, "1", "Smiling = '1' is no number"),
        (0, None, "Smiling = None is no number"),
    ],
)
def test_refused(attribute, value, said):
    with pytest.raises(ConfigError, match=said) as caught:
        check_value(KNOWN[attribute], value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("edits", "columns"),
    [
        ({}, {}),
        ({"Eyeglasses": 1.5, "Smiling": -1}, {1: 1.5, 0: -1}),
        ({"Eyeglasses": -0.0, "Smiling": True}, {1: 0, 0: 1}),
    ],
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


TAKES = {"takes_along": {"Blond": 0.5}}
EXCLUDES = {"excludes": ("Blond",)}


@pytest.mark.parametrize(
    ("smiling", "edits", "blond"),
    [
        (TAKES, {0: 1.0}, 0.6 + 0.5 * 0.8),
        (TAKES, {0: 0.0}, 0.6 - 0.5 * 0.2),
        (TAKES, {0: -1.0}, 0.0),
        ({**TAKES, "takes_along_off": {"Blond": 1.0}}, {0: 0.0}, 0.6 - 0.2),
        (TAKES, {0: 1.0, 1: 0.25}, 0.25),
        (TAKES, {1: 0.25}, 0.25),
        (EXCLUDES, {0: 1.0}, 0.0),
        (EXCLUDES, {0: 0.0}, 0.6),
        ({}, {0: 1.0}, 0.6),
    ],
)
def test_what_is_taken_along_and_excluded(smiling, edits, blond):
    known = (AttributeInfo(name="Smiling", **smiling), AttributeInfo(name="Blond", on=0.5, off=0.25))
    seen = np.float32([[0.2, 0.6]])
    wanted = wanted_values(seen, edits, known)
    np.testing.assert_allclose(wanted, [[edits.get(0, 0.2), blond]], atol=1e-6)
    source, target = decode_values(seen, edits, known)
    np.testing.assert_array_equal(source, seen)
    change = blond - 0.6
    assert target[0, 1] == pytest.approx(0.6 + (0.5 if change > 0 else 0.75) * change, abs=1e-6)
