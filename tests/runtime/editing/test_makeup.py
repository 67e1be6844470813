"""Make-up is put where people put it, as far as they do, and comes off again."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from made_up_face import made_up_frame
from pydantic import ValidationError

from aif.runtime.bundle.attributes import AttributeInfo, MakeupInfo
from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.editing.shape.makeup import makeup_colours, makeup_gain, places
from aif.runtime.editing.shape.region import Regions
from aif.runtime.geometry import points as dense

FRAME, SIZE = made_up_frame(), 128
SKIN, PALE, RED = (0.8, 0.6, 0.5), (0.75, 0.5, 0.42), (0.7, 0.2, 0.2)
LIPS, LIDS = places(FRAME, SIZE)["lips"], places(FRAME, SIZE)["lids"]


def over_skin(colour):
    return tuple((np.log(np.add(colour, EPSILON)) - np.log(np.add(SKIN, EPSILON))).tolist())


INFO = AttributeInfo(
    name="any",
    on=2.0,
    off=-1.5,
    makeup=MakeupInfo(
        on={"lips": over_skin(RED), "lids": over_skin((0.4, 0.3, 0.25))},
        off={"lips": over_skin(PALE), "lids": over_skin((0.76, 0.57, 0.475))},
    ),
)


def face(lips, lids=SKIN):
    """A texture (3, S, S) of plain skin, its lips and lids of one colour each."""
    image = np.empty((SIZE, SIZE, 3), np.float32)
    image[:] = SKIN
    for colour, mask in ((lips, LIPS), (lids, LIDS)):
        image[mask > 0.05] = colour
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def made_up(texture, value, u=0.0, info=INFO):
    """The texture with `value` of make-up, of a face in which the encoder sees `u`."""
    source = np.array([u], np.float32)
    target = source + (value - source) * np.float32(info.on if value > u else 1 - info.off)
    gain = makeup_gain([info], source, target, texture, FRAME).transpose(2, 0, 1)
    return np.float32((texture + EPSILON) * np.exp(gain) - EPSILON)


def colour(texture, mask):
    return texture[:, mask > 0.95].mean(axis=1)


def test_places_are_where_make_up_is_put():
    found = places(FRAME, SIZE)
    for mask in found.values():
        assert mask.min() >= 0 and mask.max() == 1
        np.testing.assert_allclose(mask[:, 1:], mask[:, :0:-1], atol=0.2)  # both sides alike
    teeth = FRAME.mask(SIZE, dense.INNER_LIP) == 1
    assert found["lips"][cv2.erode(teeth.astype(np.uint8), np.ones((5, 5))) > 0].max() < 0.2
    heights = {place: np.average(np.arange(SIZE), weights=mask.sum(axis=1)) for place, mask in found.items()}
    brow, eye = (FRAME.mean[ring, 1].mean() * SIZE for ring in (dense.LEFT_BROW, dense.LEFT_EYE))
    assert brow < heights["lids"] < heights["line"] < eye < heights["lips"]


@pytest.mark.parametrize("u", [0.0, 0.4])
def test_pale_lips_and_lids_become_as_plain_as_those_who_wear_it(u):
    result = made_up(face(PALE), 1.0, u)
    np.testing.assert_allclose(colour(result, LIPS), RED, atol=0.03)
    np.testing.assert_allclose(colour(result, LIDS), (0.4, 0.3, 0.25), atol=0.06)
    beyond = np.max([*places(FRAME, SIZE).values()], axis=0) == 0
    np.testing.assert_array_equal(result[:, beyond], face(PALE)[:, beyond])


def test_what_is_plain_already_stays_as_it_is():
    dark = face((0.6, 0.1, 0.1), (0.2, 0.15, 0.12))
    np.testing.assert_allclose(made_up(dark, 1.0), dark, atol=1e-6)
    bare = face(PALE)
    np.testing.assert_allclose(made_up(bare, 0.0, 1.0)[:, LIPS > 0.95], bare[:, LIPS > 0.95], atol=0.02)


def test_lips_lose_their_colour_and_skin_beside_them_none():
    red = face(RED)
    red[:, LIPS < 0.6] = np.array(SKIN)[:, None]  # lips that end earlier than landmarks say
    result = made_up(red, 0.0, 1.0)
    ratio = colour(result, LIPS)
    assert ratio[0] / ratio[1] == pytest.approx(PALE[0] / PALE[1], rel=0.15)
    edge = (LIPS > 0.3) & (LIPS < 0.6)
    assert edge.any()
    np.testing.assert_allclose(result[:, edge], red[:, edge], atol=0.02)
    assert result.max() <= max(SKIN) + 0.05


def test_the_value_is_a_slider():
    texture, shown = face((0.72, 0.35, 0.3)), []
    for value in np.linspace(0, 1, 11):
        shown.append(float(np.diff(colour(made_up(texture, value, 0.5), LIPS)[:2])[0]))
    steps = np.array([one - two for one, two in pairwise(shown)])
    assert (steps > -0.005).all() and steps.max() < 0.5 * steps.sum()
    np.testing.assert_array_equal(made_up(texture, 0.5, 0.5), texture)
    np.testing.assert_allclose(made_up(texture, -1.0, 0.5), made_up(texture, 0.0, 0.5), atol=1e-6)


def test_pictures_without_colour_get_none():
    grey = np.repeat(face((0.4, 0.4, 0.4)).mean(axis=0, keepdims=True), 3, axis=0)
    result = made_up(grey, 1.0)
    assert np.ptp(result, axis=0).max() < 1e-6 and result[0][LIPS > 0.95].mean() < 0.4


def test_lips_reach_as_far_inward_as_they_are_red():
    inside = cv2.GaussianBlur(FRAME.mask(SIZE, dense.INNER_LIP), (0, 0), 1) > 0.5
    near = inside & (cv2.dilate((LIPS > 0.5).astype(np.uint8), np.ones((3, 3))) > 0)
    for lip, tinted in ((RED, True), ((0.9, 0.88, 0.85), False)):  # the lip's own edge, and teeth
        texture = face((0.7, 0.33, 0.3))
        texture[:, near] = np.array(lip)[:, None]
        change = np.abs(made_up(texture, 0.0, 1.0) - texture)[:, near].mean()
        assert (change > 0.02) == tinted, lip


def test_of_several_edits_make_up_counts_by_its_share():
    regions = Regions.of([INFO, AttributeInfo(name="other")], FRAME, 64)
    shares = [regions.shares(np.array(change, np.float32)).makeup for change in ((1, 0), (-1, 1), (0, 1))]
    assert shares == [1, -0.5, None]
    both = Regions.of([INFO, INFO], FRAME, 64).shares(np.array((1, -1), np.float32))
    assert both.makeup == 0  # lipstick that comes as other make-up goes is still an edit


def test_colours_are_measured_against_the_skin_s():
    found = makeup_colours(face(RED), FRAME)
    np.testing.assert_allclose(found["lips"], over_skin(RED), atol=0.05)
    brighter = np.float32((face(RED) + EPSILON) * 1.5 - EPSILON)
    np.testing.assert_allclose(makeup_colours(brighter, FRAME)["lips"], found["lips"], atol=0.02)


def test_places_with_make_up_and_without_are_the_same():
    with pytest.raises(ValidationError, match="other places"):
        MakeupInfo(on={"lips": (0, 0, 0)}, off={"lids": (0, 0, 0)})
