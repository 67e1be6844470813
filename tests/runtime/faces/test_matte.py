"""The matte at runtime: the network's contract, its place in the photo, and edges that follow the photo."""

from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from aif.runtime.errors import BundleError
from aif.runtime.faces.matte import MatteNet, photo_matte, view_box
from aif.runtime.faces.refine import refine_matte
from aif.runtime.geometry.align import TEMPLATE_128, face_crops, similarity_transform

SIZE = 32
SKIN, HAIR, WALL = (150, 170, 220), (30, 40, 60), (200, 190, 180)


def graph(size=SIZE, output="matte", channels=1):
    """A network for which red is hair."""
    values = [
        helper.make_tensor(name, TensorProto.INT64, [1], [value])
        for name, value in (("start", 0), ("end", channels), ("axis", 1))
    ]
    node = helper.make_node("Slice", ["image", "start", "end", "axis"], [output])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, size, size])
    matte = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", channels, size, size])
    made = helper.make_graph([node], "toy", [image], [matte], values)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def net():
    return MatteNet(graph(), threads=1)


def test_gives_the_matte_of_every_crop(net):
    crops = np.random.default_rng(0).random((3, 3, SIZE, SIZE), dtype=np.float32)
    assert net.input_size == SIZE
    np.testing.assert_array_equal(net.matte(crops), crops[:, 0])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (graph(output="alpha"), "matte Nx1xSxS"),
        (graph(channels=2), "matte Nx1xSxS"),
        (b"", "cannot load"),
        (b"no graph", "cannot load"),
    ],
    ids=["another name", "two channels", "empty", "rubbish"],
)
def test_a_graph_that_is_no_matte_network(data, words):
    with pytest.raises(BundleError, match=words):
        MatteNet(data)


def turned(angle, scale, centre, size=SIZE):
    """Photo to crop, for a face turned by `angle` (radians) whose crop is 128 `scale` px around `centre`."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (TEMPLATE_128 - 63.5) @ turn.T * scale + centre
    return similarity_transform(landmarks, size).astype(np.float64)


def disc_at(place, radius):
    photo = np.zeros((480, 500, 3), dtype=np.uint8)
    cv2.circle(photo, (round(place[0]), round(place[1])), round(radius), (0, 0, 255), -1)
    return photo


def matte_of(net, photo, matrix):
    """The matte of a photo, 0 outside its place."""
    near = net.matte(face_crops(photo, [matrix.astype(np.float32)], net.input_size))[0]
    found, (x, y, width, height) = photo_matte(net, photo, matrix, near)
    assert found.shape == (height, width) and found.dtype == np.float32
    assert found.size == 0 or (found.min() >= 0 and found.max() <= 1)
    whole = np.zeros(photo.shape[:2], dtype=np.float32)
    whole[y : y + height, x : x + width] = found
    return whole


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("away", [(0, 0), (20, -25), (-75, 10), (5, 85)])
def test_a_matte_lies_where_its_hair_is(net, angle, scale, away):
    """A red disc in the crop, or beyond it in the wider view, is where it was."""
    matrix = turned(angle, scale, (250, 230))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    photo = disc_at(tuple(turn @ away * scale + (250, 230)), 14 * scale)
    found, red = matte_of(net, photo, matrix), photo[:, :, 2] > 127
    x, y, width, height = view_box(matrix, SIZE, photo.shape)
    red[:y], red[y + height :], red[:, :x], red[:, x + width :] = False, False, False, False
    assert ((found > 0.5) & red).sum() > 0.8 * ((found > 0.5) | red).sum() > 0


def test_the_edge_of_the_view_is_soft(net):
    """Hair everywhere: the matte ends in the view, slowly."""
    matte = matte_of(net, np.full((500, 500, 3), 255, dtype=np.uint8), turned(0, 1, (250, 250)))
    assert matte[0].max() == 0 and matte[:, 0].max() == 0 and matte[250, 250] == 1
    assert np.abs(np.diff(matte[250])).max() < 0.15


def test_what_the_widest_view_misses_of_a_head_a_closer_one_sees(net):
    def near_sighted(crops):
        return net.matte(crops) if len(crops) == 1 else net.matte(crops) * np.float32([[[0]], [[1]]])

    photo = disc_at((250, 185), 50)  # of a crop that begins at 186
    seeing = SimpleNamespace(matte=near_sighted, input_size=SIZE)
    found, whole = (matte_of(each, photo, turned(0, 1, (250, 250))) for each in (seeing, net))
    assert found[184:200, 230:270].min() > 0.9
    np.testing.assert_allclose(found[184:], whole[184:], atol=0.1)


def test_no_hair_and_no_view(net):
    black = np.zeros((200, 200, 3), dtype=np.uint8)
    assert matte_of(net, black, turned(0, 1, (100, 100))).max() == 0
    assert matte_of(net, black, turned(0, 1, (-900, 100))).max() == 0


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_long_hair_is_followed_to_its_end(angle):
    """Below the wider view, too, which ends 104 px below its middle; a coat of another colour is none."""
    photo = np.zeros((700, 500, 3), dtype=np.uint8)
    photo[..., :2] = np.random.default_rng(0).integers(60, 80, (700, 500, 2))
    cv2.rectangle(photo, (120, 300), (380, 700), (140, 120, 0), -1)
    hair = np.zeros(photo.shape[:2], dtype=np.uint8)
    cv2.ellipse(hair, (250, 230), (60, 50), 0, 0, 360, 1, -1)
    cv2.rectangle(hair, (190, 230), (250, 500), 1, -1)
    photo[hair > 0] = (20, 30, 250)
    turn = cv2.getRotationMatrix2D((250, 230), -np.degrees(angle), 1)
    photo, hair = (cv2.warpAffine(each, turn, (500, 700)) for each in (photo, hair))
    net, matrix = MatteNet(graph(64), threads=1), turned(angle, 1, (250, 230), 64)
    found, real = matte_of(net, photo, matrix) > 0.5, hair > 0
    assert (found & real).sum() > 0.85 * (found | real).sum()


def test_hair_that_is_followed_is_not_cut_by_a_closer_view_that_misses_it():
    net = MatteNet(graph(64), threads=1)

    def half_blind(crops):
        return net.matte(crops) if len(crops) == 1 else net.matte(crops) * np.float32([[[1]], [[0]]])

    photo = np.zeros((700, 500, 3), dtype=np.uint8)
    photo[..., :2] = np.random.default_rng(0).integers(60, 80, (700, 500, 2))
    cv2.rectangle(photo, (190, 180), (250, 500), (20, 30, 250), -1)
    seeing = SimpleNamespace(matte=half_blind, input_size=64)
    found = matte_of(seeing, photo, turned(0, 1, (250, 230), 64))  # whose crop ends at 294, the view at 304
    assert found[270:310, 205:235].min() > 0.8


@pytest.mark.parametrize(
    ("centre", "scale", "box"),
    [
        ((250, 230), 1.0, (146, 139, 208, 208)),
        ((0, 0), 1.0, (0, 0, 104, 117)),
        ((250, 230), 40.0, (0, 0, 500, 480)),
        ((-900, 230), 1.0, (0, 0, 0, 0)),
        ((250, 4000), 1.0, (0, 0, 0, 0)),
    ],
)
def test_the_box_of_a_view_lies_in_the_photo(centre, scale, box):
    np.testing.assert_allclose(view_box(turned(0, scale, centre), SIZE, (480, 500, 3)), box, atol=2)


def portrait(height, width):
    """Hair around a face before a wall, with a little noise; and where the hair is."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = WALL
    centre = (width // 2, height // 2)
    hair = np.zeros((height, width), dtype=np.float32)
    cv2.ellipse(hair, centre, (width * 2 // 5, height * 2 // 5), 0, 0, 360, 1, -1)
    cv2.ellipse(image, centre, (width * 2 // 5, height * 2 // 5), 0, 0, 360, HAIR, -1)
    low = (width // 2, height * 3 // 5)
    cv2.ellipse(hair, low, (width // 4, height // 4), 0, 0, 360, 0, -1)
    cv2.ellipse(image, low, (width // 4, height // 4), 0, 0, 360, SKIN, -1)
    noise = np.random.default_rng(1).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), hair


def roughly(hair, cells, shift=0.0):
    """What a network of `cells` pixels a side would say, off by `shift` of them."""
    height, width = hair.shape
    small = cv2.resize(hair, (cells, cells), interpolation=cv2.INTER_AREA)
    matrix = np.array([[1, 0, shift], [0, 1, shift]], dtype=np.float64)
    small = cv2.warpAffine(small, matrix, (cells, cells), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1))


@pytest.mark.parametrize("size", [(300, 300), (301, 263), (700, 520), (127, 255)])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_borders_move_to_the_photos_edges(size, shift):
    photo, hair = portrait(*size)
    rough = roughly(hair, 64, shift)
    before = rough.copy()
    fine = refine_matte(photo, rough, reach=max(size) / 24)
    np.testing.assert_array_equal(rough, before)
    assert fine.shape == hair.shape and fine.dtype == np.float32
    assert fine.min() >= 0 and fine.max() <= 1
    assert np.abs(fine - hair).mean() < 0.5 * np.abs(rough - hair).mean()


def test_far_from_the_border_nothing_changes():
    """A dark spot on the wall is no hair, a light one in the hair is no wall."""
    photo, hair = portrait(480, 480)
    cv2.circle(photo, (60, 60), 10, HAIR, -1)
    cv2.circle(photo, (240, 75), 5, WALL, -1)
    fine = refine_matte(photo, roughly(hair, 128), reach=10)
    assert fine[50:70, 50:70].max() < 0.02
    assert fine[70:80, 235:245].min() > 0.98


def test_fine_strands_get_their_share():
    """At the hair's border strands of one pixel in three: the matte between is that of their colours."""
    photo = np.empty((300, 300, 3), dtype=np.uint8)
    photo[:] = WALL
    photo[:, :140] = HAIR
    photo[::3, 140:152] = HAIR
    hair = (photo == HAIR).all(axis=2).astype(np.float32)
    rough = roughly((np.indices(hair.shape)[1] < 146).astype(np.float32), 64)
    fine = refine_matte(photo, rough, reach=16)
    strands, between = fine[60:240:3, 141:151], fine[61:240:3, 141:151]
    assert strands.mean() > 0.75 and between.mean() < 0.25
    # half hair, half wall: half a matte
    photo[100:200, 140:152] = (np.array(HAIR) + WALL) // 2
    assert refine_matte(photo, rough, reach=16)[110:190, 142:150].mean() == pytest.approx(0.5, abs=0.2)


def test_no_edge_in_the_photo_leaves_the_border_soft():
    plain = np.full((240, 240, 3), 128, dtype=np.uint8)
    rough = roughly((np.indices((240, 240))[1] < 120).astype(np.float32), 32)
    fine = refine_matte(plain, rough, reach=7)
    assert np.abs(fine - rough).max() < 0.55 and (np.diff(fine[120]) < 0.01).all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (130, 90)])
def test_nothing_to_refine(size, value):
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    matte = np.full(size, value, dtype=np.float32)
    np.testing.assert_allclose(refine_matte(photo, matte, reach=4), matte, atol=1e-6)


@pytest.mark.parametrize("reach", [0.3, 1000.0])
@pytest.mark.parametrize("size", [(1, 2), (2, 31), (33, 64), (250, 250)])
def test_any_size_and_reach_gives_a_matte(size, reach):
    rng = np.random.default_rng(2)
    photo = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    fine = refine_matte(photo, rng.random(size, dtype=np.float32), reach=reach)
    assert fine.shape == size and fine.min() >= 0 and fine.max() <= 1
