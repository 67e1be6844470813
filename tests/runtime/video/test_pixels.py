"""Colours and positions: against the numbers of the standards, and there and back without drift."""

from fractions import Fraction

import av
import numpy as np
import pytest

from aif.runtime.video.pixels import Colour, Palette, bgr_to_yuv420p, frame_to_bgr, is_see_through

LIMITED, FULL = 1, 2


def flat(size, *values, pix_fmt="yuv420p", depth=8):
    """A frame with the same value all over each plane."""
    frame = av.VideoFrame(*size, pix_fmt)
    for plane, value in zip(frame.planes, values, strict=True):
        kind = np.uint8 if depth == 8 else np.dtype("<u2")
        plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, value, kind).tobytes())
    return frame


# BGR to YUV as the standards print them (BT.709, BT.601, BT.2020), rounded.
@pytest.mark.parametrize(
    ("matrix", "colour_range", "bgr", "yuv"),
    [
        (1, LIMITED, (0, 0, 255), (63, 102, 240)),
        (1, LIMITED, (0, 255, 0), (173, 42, 26)),
        (1, LIMITED, (255, 0, 0), (32, 240, 118)),
        (6, LIMITED, (0, 0, 255), (81, 90, 240)),
        (5, LIMITED, (255, 0, 0), (41, 240, 110)),
        (6, FULL, (0, 0, 255), (76, 85, 255)),
        (1, FULL, (0, 255, 0), (182, 30, 12)),
        (9, LIMITED, (0, 0, 255), (74, 97, 240)),
        (1, LIMITED, (255, 255, 255), (235, 128, 128)),
        (1, 0, (0, 0, 0), (16, 128, 128)),
        (9, FULL, (255, 255, 255), (255, 128, 128)),
    ],
)
def test_colours_of_the_standards(matrix, colour_range, bgr, yuv):
    colour = Colour(matrix, colour_range)
    frame = bgr_to_yuv420p(np.full((48, 64, 3), bgr, np.uint8), colour, even=True)
    assert tuple(bytes(plane)[0] for plane in frame.planes) == yuv
    assert (frame.color_range, frame.colorspace) == (colour_range, matrix)
    back = frame_to_bgr(flat((64, 48), *yuv), colour)
    assert np.abs(back.astype(int) - bgr).max() <= 2, "eight bits of YUV hold no more"


@pytest.mark.parametrize(("height", "like"), [(480, 6), (719, 6), (720, 1), (1080, 1)])
def test_a_matrix_that_is_not_named_goes_by_the_height(height, like):
    np.testing.assert_array_equal(Colour(2).to_bgr(height), Colour(like).to_bgr(height))
    np.testing.assert_array_equal(Colour(8).from_bgr(height), Colour(like).from_bgr(height))


@pytest.mark.parametrize(
    ("pix_fmt", "depth", "colour_range", "value", "level"),
    [
        ("gray", 8, LIMITED, 16, 0),
        ("gray", 8, LIMITED, 235, 255),
        ("gray", 8, LIMITED, 126, 128),
        ("gray", 8, FULL, 16, 16),
        ("gray", 8, 0, 77, 77),
        ("gray10le", 10, FULL, 1023, 255),
        ("gray10le", 10, LIMITED, 64, 0),
    ],
)
def test_grey(pix_fmt, depth, colour_range, value, level):
    frame = flat((64, 48), value, pix_fmt=pix_fmt, depth=depth)
    frame.color_range = colour_range
    assert (frame_to_bgr(frame, Colour.of(frame)) == level).all()
    assert Colour.of(frame).range == LIMITED, "what it is written as"


def smooth(height, width):
    """A picture of slow waves in all colours."""
    y, x = np.mgrid[:height, :width] / 40
    waves = [np.sin(x + i) + np.cos(y - i) for i in range(3)]
    return (127.5 + 50 * np.stack(waves, axis=2)).astype(np.uint8)


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (720, 30), (1, 1), (2, 1), (1, 5), (3, 2)])
@pytest.mark.parametrize("even", [True, False])
def test_there_and_back_keeps_the_picture(size, even):
    image, colour = smooth(*size), Colour(1, LIMITED)
    frame = bgr_to_yuv420p(image, colour, even)
    wide, high = size[1] + even * (size[1] % 2), size[0] + even * (size[0] % 2)
    assert (frame.width, frame.height) == (wide, high)
    back = frame_to_bgr(frame, colour)[: size[0], : size[1]].astype(int) - image
    assert np.abs(back).max() <= 6 and abs(back.mean()) < (0.2 if image.size > 100 else 1)


def test_an_odd_edge_is_repeated():
    image = np.zeros((5, 5, 3), np.uint8)
    image[4], image[:, 4] = 255, 255
    grown = frame_to_bgr(bgr_to_yuv420p(image, Colour(1, FULL), True), Colour(1, FULL))
    assert grown.shape == (6, 6, 3)
    assert grown[5].min() > 250 and grown[:, 5].min() > 250 and grown[:3, :3].max() < 5


def test_transparent_parts_become_white():
    bgra = np.zeros((4, 4, 4), np.uint8)
    bgra[:2] = (10, 20, 30, 255)
    bgra[2] = (0, 0, 0, 128)
    frame = av.VideoFrame.from_ndarray(bgra, format="bgra")
    image = frame_to_bgr(frame, Colour.of(frame))
    assert is_see_through(frame)
    assert image[0, 0].tolist() == [10, 20, 30] and image[2, 0].tolist() == [127] * 3
    assert image[3, 0].tolist() == [255] * 3
    assert not is_see_through(av.VideoFrame.from_ndarray(bgra[:2], format="bgra"))
    assert not is_see_through(flat((4, 4), 0, 128, 128))


def test_pictures_in_rgb_are_written_as_bt709():
    frame = av.VideoFrame.from_ndarray(smooth(8, 8), format="bgr24")
    assert Colour.of(frame) == Colour(1, LIMITED, 1, 13)
    np.testing.assert_array_equal(frame_to_bgr(frame, Colour.of(frame)), smooth(8, 8))


def test_a_palette_holds_each_frame_by_itself():
    palette = Palette(16, 16, Fraction(1, 100))
    out: list[av.VideoFrame | None] = []
    for i in range(3):
        frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 60 * i + 20, np.uint8), format="bgr24")
        frame.pts, frame.time_base = 10 * i, Fraction(1, 100)
        out += palette.indexed(frame)
    out += palette.indexed(None)
    assert out[-1] is None and [frame.pts for frame in out[:-1] if frame is not None] == [0, 10, 20]
    for i, frame in enumerate(out[:-1]):
        assert frame is not None and frame.format.name == "pal8"
        assert np.abs(frame_to_bgr(frame, Colour.of(frame)).astype(int) - (60 * i + 20)).max() <= 4
