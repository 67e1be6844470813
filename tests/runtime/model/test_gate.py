"""The figures of every gate, and their limits."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from aif.runtime.model.codes import Decoded, Encoding
from aif.runtime.model.gate import LIMITS, Answers, figures, flipped, for_manifest, over_limits

RNG = np.random.default_rng(0)
KNOWN = Answers(
    Encoding(
        RNG.random((4, 6), dtype=np.float32),
        RNG.random((4, 2), dtype=np.float32),
        {"feature_0": RNG.random((4, 3, 2, 2), dtype=np.float32)},
    ),
    Decoded(
        RNG.random((8, 3, 4, 4), dtype=np.float32),
        RNG.random((8, 221, 2), dtype=np.float32),
        RNG.random((8, 3, 1, 1), dtype=np.float32),
    ),
)


def changed(name, values):
    """The known answers with another tensor."""
    code, decoded = KNOWN.encoding, KNOWN.decoded
    if name == "features":
        return Answers(dataclasses.replace(code, features={"feature_0": values}), decoded)
    if hasattr(code, name):
        return Answers(dataclasses.replace(code, **{name: values}), decoded)
    return Answers(code, dataclasses.replace(decoded, **{name: values}))


def test_the_same_answers():
    found = figures(KNOWN, KNOWN)
    assert found == dict.fromkeys(LIMITS["fp32"], 0.0)
    code = Encoding(KNOWN.encoding.z, KNOWN.encoding.y)
    plain = Answers(code, Decoded(KNOWN.decoded.image))
    assert figures(plain, plain).keys() == {"z", "y_mean", "y_max", "image"}


@pytest.mark.parametrize("name", ["z", "features", "image"])
def test_relative_errors(name):
    """|| 1.1 x - x || / || x || = 0.1"""
    known = {"z": KNOWN.encoding.z, "features": KNOWN.encoding.features["feature_0"]}
    values = known.get(name, KNOWN.decoded.image)
    found = figures(changed(name, values * np.float32(1.1)), KNOWN)
    assert found.pop(name) == pytest.approx(0.1, rel=1e-5)
    assert not any(found.values())


def test_changes_of_y_are_absolute():
    y = KNOWN.encoding.y.copy()
    y[0, 0] += np.float32(0.08)
    found = figures(changed("y", y), KNOWN)
    assert (found["y_max"], found["y_mean"]) == (pytest.approx(0.08, rel=1e-4), pytest.approx(0.01, rel=1e-4))


@pytest.mark.parametrize(("step", "passes"), [(0.0003, True), (0.0004, False), (np.nan, False)])
def test_the_farthest_landmark_counts(step, passes):
    """One of 221 that lies step to the right and as much lower."""
    assert KNOWN.decoded.landmarks is not None
    points = KNOWN.decoded.landmarks.copy()
    points[5, 50] += np.float32(step)
    found = figures(changed("landmarks", points), KNOWN)
    if np.isfinite(step):
        assert found["landmarks"] == pytest.approx(step * 2**0.5, rel=1e-3)
    assert over_limits("fp16", found) == (() if passes else ("landmarks",))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["z", "y", "features", "image", "landmarks", "detail"])
def test_values_that_are_not_finite_are_infinitely_wrong(name, value):
    known: dict[str, Any] = vars(KNOWN.encoding) | vars(KNOWN.decoded)
    values = known[name]["feature_0"] if name == "features" else known[name]
    broken = values.copy()
    broken.flat[3] = value
    found = figures(changed(name, broken), KNOWN)
    assert not any(np.isnan(list(found.values()))) and np.inf in found.values()
    assert over_limits("int8", found)


def test_limits():
    for precision, limits in LIMITS.items():
        for name, limit in limits.items():
            for times, passes in ((1.0, True), (1.01, False), (float("nan"), False)):
                made = dict.fromkeys(limits, 0.0) | {name: limit * times}
                assert over_limits(precision, made) == (() if passes else (name,))


def test_what_a_manifest_keeps():
    assert for_manifest("fp16", {"z": 0.00123456}) == {"gate": {"z": 0.00123}, "limits": {"z": 0.005}}


def test_one_attribute_of_each_face_is_flipped():
    y = np.array([[0.1, 0.9], [0.2, 0.6], [0.5, 0.4], [0.7, 0.3]], np.float32)
    wanted = [[1, 0.9], [0.2, 0], [0, 0.4], [0.7, 1]]
    np.testing.assert_allclose(flipped(y), wanted, rtol=1e-6)
    np.testing.assert_allclose(y[0], [0.1, 0.9], rtol=1e-6)  # a copy
