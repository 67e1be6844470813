"""Films of more than eight bits: edited in a copy, and what is not edited keeps its samples and its tags."""

from fractions import Fraction

import av
import numpy as np
import pytest

from aif.runtime.video.deep import HLG, PQ, Deep, hlg_code, hlg_light, pq_code, pq_light
from aif.runtime.video.pixels import Colour
from aif.runtime.video.read import VideoSource
from aif.runtime.video.write import open_sink

COLOURS = {"pq": (1, 9, 9, PQ), "hlg": (1, 9, 9, HLG), "sdr": (1, 1, 1, 1), "full": (2, 1, 1, 1)}
BOX = np.s_[11:30, 17:40]


def planes(seed=0, high=48, wide=64):
    """Dark to bright from left to right, with a little colour."""
    rng = np.random.default_rng(seed)
    luma = np.linspace(100, 760, wide)[None] + rng.normal(0, 3, (high, wide))
    chroma = 512 + rng.normal(0, 6, (2, high // 2, wide // 2))
    return tuple(np.rint(each).astype(np.uint16) for each in (luma, *chroma))


@pytest.mark.parametrize(
    ("light", "code", "at"),
    [(pq_light, pq_code, ((0.5807, 203), (0.7518, 1000))), (hlg_light, hlg_code, ((0.75, 203), (1.0, 1000)))],
)
def test_transfers_are_those_of_the_standards(light, code, at):
    for value, nits in at:
        assert light(np.array(value)) == pytest.approx(nits, rel=5e-3)
    steps = np.linspace(0, 1, 200)
    np.testing.assert_allclose(code(light(steps)), steps, atol=1e-4)


def test_grey_stays_grey_and_white_stays_below_the_highlights_in_the_copy():
    deep = Deep(Colour(9, 1, 9, PQ))
    levels = [round(64 + 876 * float(pq_code(nits))) for nits in (0, 50, 203, 4000)]
    luma = np.repeat(np.array(levels, np.uint16), 2)[None].repeat(2, axis=0)
    copy = deep.copy((luma, *[np.full((1, 4), 512, np.uint16)] * 2))
    assert np.ptp(copy.astype(int), axis=2).max() <= 1
    black, face, white, highlight = copy[0, ::2, 1].tolist()
    assert black <= 6 and 130 < face < 160 and 225 < white < 240 and highlight > 250


@pytest.mark.parametrize("colour", COLOURS)
def test_only_what_differs_is_changed_and_it_looks_as_the_edited_copy(colour):
    value, matrix, primaries, transfer = COLOURS[colour]
    deep, before = Deep(Colour(matrix, value, primaries, transfer)), planes()
    copy = deep.copy(before)
    assert all(np.array_equal(*pair) for pair in zip(deep.changed(before, copy, copy), before, strict=True))
    edited = copy.copy()
    edited[BOX] = np.clip(copy[BOX].astype(int) + np.array([15, -10, 20]), 0, 255)
    after = deep.changed(before, copy, edited)
    outside = np.ones((48, 64), bool)
    outside[BOX] = False
    np.testing.assert_array_equal(after[0][outside], before[0][outside])
    again = deep.copy(after).astype(int)
    assert np.abs(again[14:27, 20:37] - edited[14:27, 20:37]).mean() < 2


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("out", "codec"), [("out.mp4", "hevc"), ("out.mov", "hevc"), ("out.webm", "av1")])
def test_a_film_keeps_bits_tags_and_what_is_not_edited(tmp_path, make_clip, caplog, colour, out, codec):
    options = {"colour": COLOURS[colour], "pix_fmt": "yuv420p10le", "codec": "libx265", "frames": 4}
    path = make_clip(tmp_path / "a.mp4", size=(96, 64), rate=Fraction(25), **options)
    with VideoSource(path) as source, open_sink(tmp_path / out, source, quality=100) as sink:
        for frame in source:
            image = frame.image_hwc_bgr.copy()
            image[40:60, 60:90] = 255 - image[40:60, 60:90]
            sink.write(image, frame)
    assert not caplog.records
    with av.open(str(tmp_path / out)) as container:
        context = container.streams.video[0].codec_context
        assert (context.codec.canonical_name, context.pix_fmt) == (codec, "yuv420p10le")
        tags = context.color_range, context.colorspace, context.color_primaries, context.color_trc
        assert tags == COLOURS[colour]
    with VideoSource(path) as old, VideoSource(tmp_path / out) as new:
        for before, after in zip(old, new, strict=True):
            change = np.abs(after.planes[0].astype(int) - before.planes[0])
            assert change[:32, :48].mean() < 4 and change[40:60, 60:90].mean() > 40, "of 1023"


@pytest.mark.parametrize(
    ("colour", "out", "options", "said", "tags"),
    [
        ("pq", "out.mp4", {"codec": "h264"}, "HDR becomes SDR", (1, 1, 1)),
        ("hlg", "out.webm", {"codec": "vp9"}, "HDR becomes SDR", (1, 1, 1)),
        ("pq", "out.mp4", {"size": (128, 48)}, "HDR becomes SDR", (1, 1, 1)),
        ("sdr", "out.mp4", {"codec": "h264"}, "10 bits a channel become 8", (1, 1, 1)),
        ("hlg", "%02d.png", {}, "HDR becomes SDR", None),
    ],
)
def test_what_cannot_stay_is_converted_and_said(
    tmp_path, make_clip, caplog, colour, out, options, said, tags
):
    path = make_clip(
        tmp_path / "a.mp4", colour=COLOURS[colour], pix_fmt="yuv420p10le", codec="libx265", frames=2
    )
    with VideoSource(path) as source, open_sink(tmp_path / out, source, **options) as sink:
        for frame in source:
            image = frame.image_hwc_bgr
            sink.write(np.hstack([image] * (options.get("size", (64, 48))[0] // 64)), frame)
    assert said in caplog.text
    if tags is not None:
        with av.open(str(tmp_path / out)) as container:
            context = container.streams.video[0].codec_context
            assert context.pix_fmt == "yuv420p"
            assert (context.colorspace, context.color_primaries, context.color_trc) == tags
