"""What is written differs from its source in nothing but the pixels that were changed."""

import contextlib
import errno
import itertools
from fractions import Fraction
from pathlib import Path
from typing import get_args

import av
import cv2
import numpy as np
import pytest
from films import CLIPS, packets_of, rewrite, times_of
from PIL import Image

from aif.runtime.errors import ConfigError
from aif.runtime.video.codecs import CONTAINERS, Codec, choose_encoding
from aif.runtime.video.kinds import WRITTEN_SUFFIXES, VideoError
from aif.runtime.video.read import VideoSource
from aif.runtime.video.write import VideoSink, open_sink


def middle(path):
    with VideoSource(path) as source:
        return [float(frame.image_hwc_bgr[20:28, 28:36].mean()) for frame in source]


@pytest.mark.parametrize("out", ["out.mp4", "out.mov", "out.m4v"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *CLIPS.items(),
        ("film.mp4", {"rate": Fraction(24000, 1001)}),
        ("one.mp4", {"frames": 1}),
        ("deep.mp4", {"pix_fmt": "yuv420p10le"}),
        ("grey.mkv", {"pix_fmt": "gray", "codec": "ffv1"}),
        ("slow.gif", {"codec": "gif", "pix_fmt": "bgr8", "rate": Fraction(10)}),
        ("turned.mp4", {"rotation": (90, False)}),
    ],
)
def test_every_frame_keeps_its_time(tmp_path, make_clip, name, options, out):
    path = make_clip(tmp_path / name, **options)
    rewrite(path, tmp_path / out)
    assert times_of(tmp_path / out) == times_of(path)
    np.testing.assert_allclose(middle(tmp_path / out), middle(path), atol=3)


def test_a_broadcast_begins_at_zero(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.ts", rate=Fraction(25), pts=range(9000, 9012), time_base=Fraction(1, 25))
    rewrite(path, tmp_path / "out.mp4")
    before, after = times_of(path), times_of(tmp_path / "out.mp4")
    assert [time - after[0] for time in after] == [time - before[0] for time in before] and after[0] < 1


@pytest.mark.parametrize(
    ("out", "tick"), [("out.mkv", 1000), ("out.webm", 1000), ("out.gif", 100)], ids=["mkv", "webm", "gif"]
)
def test_containers_with_their_own_ticks_round_each_time_by_itself(tmp_path, make_clip, out, tick):
    path = make_clip(tmp_path / "a.mp4", frames=30)
    rewrite(path, tmp_path / out)
    exact = [i * Fraction(1001, 30000) for i in range(30)]
    assert times_of(tmp_path / out) == [Fraction(round(time * tick), tick) for time in exact]
    np.testing.assert_allclose(middle(tmp_path / out), middle(path), atol=4)


@pytest.mark.parametrize("loops", [None, 0, 3])
def test_a_gif_repeats_as_often_as_before(tmp_path, loops):
    first, *others = [Image.new("RGB", (32, 32), (60 * i, 0, 0)) for i in range(4)]
    told = {} if loops is None else {"loop": loops}
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=100, **told)
    rewrite(tmp_path / "a.gif", tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as again:
        assert again.info.get("loop") == loops


@pytest.mark.parametrize(
    "colour", [(1, 1, 1, 1), (1, 6, 6, 6), (2, 1, 1, 13), (1, 9, 9, 14), (0, 2, 2, 2)], ids=str
)
@pytest.mark.parametrize("codec", ["h264", "h265", "vp9"])
def test_colours_are_carried_over(tmp_path, make_clip, colour, codec):
    path = make_clip(tmp_path / "a.mp4", colour=colour, frames=3)
    rewrite(path, tmp_path / "out.mp4", codec=codec)
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        told = (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
    assert told[1:] == colour[1:] and told[0] in {colour[0], colour[0] or 1}, "not said means limited"
    before, after = (next(iter(VideoSource(each))) for each in (path, tmp_path / "out.mp4"))
    difference = after.image_hwc_bgr.astype(int) - before.image_hwc_bgr
    assert np.abs(difference.mean(axis=(0, 1))).max() < 1 and np.abs(difference[20:28, 28:36]).max() <= 3


def test_rotation_is_applied_and_gone(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4", rotation=(90, False), pixel_aspect=Fraction(4, 3))
    rewrite(path, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert (frame.width, frame.height, frame.rotation) == (48, 64, 0)
        assert stream.sample_aspect_ratio == Fraction(3, 4)


@pytest.mark.parametrize(
    ("out", "codec", "size", "stored"),
    [
        ("out.mp4", "h264", (63, 47), (64, 48)),
        ("out.mp4", "h264", (64, 47), (64, 48)),
        ("out.mp4", "h265", (63, 48), (64, 48)),
        ("out.webm", "vp9", (63, 47), (63, 47)),
        ("out.gif", "gif", (63, 47), (63, 47)),
        ("%d.png", "png", (63, 47), (63, 47)),
        ("out.mp4", "h264", (64, 48), (64, 48)),
    ],
)
def test_odd_sizes(tmp_path, make_clip, caplog, out, codec, size, stored):
    path = make_clip(tmp_path / "a.mkv", size=size, codec="ffv1", pix_fmt="bgr0")
    rewrite(path, tmp_path / out, codec=codec)
    with VideoSource(tmp_path / out, fps=25 if codec == "png" else None) as source:
        assert (source.width, source.height) == stored
        assert len([*source]) == 12
    assert caplog.text.count("the edge repeated") == (size != stored)


@pytest.mark.parametrize("codec", [each for each in get_args(Codec) if each not in {"gif", "png"}])
def test_codecs_and_quality(tmp_path, make_clip, codec):
    noise = np.random.default_rng(0).integers(0, 255, (8, 64, 96, 3)).astype(np.uint8)
    path = make_clip(tmp_path / "a.mkv", images=list(noise), codec="ffv1", pix_fmt="bgr0")
    sizes = {}
    for quality in (1, 30, None, 90, 100):
        out = tmp_path / f"{quality}.mp4"
        try:
            rewrite(path, out, codec=codec, quality=quality)
        except VideoError as error:
            pytest.skip(error.message)
        sizes[quality] = out.stat().st_size
        assert len(times_of(out)) == 8
    with av.open(str(out)) as container:
        name = container.streams.video[0].codec_context.name
        assert name in {"h264", "hevc", "vp9", "libvpx-vp9", "libdav1d", "av1"}
    assert list(sizes.values()) == sorted(sizes.values()) and sizes[1] < sizes[100] / 3


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"path": "a.avi"}, ConfigError, ".mp4, .m4v, .mov, .mkv, .webm, .gif"),
        ({"path": "a"}, ConfigError, "cannot write videos of the kind ''"),
        ({"path": "a.png"}, ConfigError, "%04d.png"),
        ({"path": "%d.jpg"}, ConfigError, "PNG"),
        ({"path": "a.webm", "codec": "h264"}, ConfigError, "vp9"),
        ({"path": "a.mp4", "codec": "gif"}, ConfigError, ".gif"),
        ({"path": "a.gif", "codec": "h264"}, ConfigError, "can hold gif"),
        ({"path": "a.mp4", "codec": "h256"}, ConfigError, "Did you mean h265"),
        ({"path": "a.mp4", "hardware": "nvencc"}, ConfigError, "Did you mean nvenc"),
        ({"path": "a.mp4", "quality": 0}, ConfigError, "1 to 100"),
        ({"path": "a.mp4", "quality": 101}, ConfigError, "1 to 100"),
        ({"path": "%d.png", "codec": "h264"}, ConfigError, "are PNG"),
        ({"path": "a.gif", "hardware": "nvenc"}, VideoError, "gif_nvenc"),
        ({"path": "a.mp4", "hardware": "videotoolbox", "codec": "vp9"}, VideoError, "vp9_videotoolbox"),
    ],
)
def test_choices_that_cannot_be(words, error, said):
    with pytest.raises(error) as raised:
        choose_encoding(Path(words.pop("path")), **words)
    assert said in str(raised.value)


def test_the_kinds_of_files_are_listed_alike():
    assert set(CONTAINERS) == set(WRITTEN_SUFFIXES)
    assert choose_encoding(Path("A.MP4")).encoder == "libx264"
    assert choose_encoding(Path("a.webm")).codec == "vp9" and choose_encoding(Path("a.gif")).codec == "gif"
    assert choose_encoding(Path("a.mp4"), quality=50).options["crf"] == "27"


@pytest.mark.parametrize("hardware", ["nvenc", "qsv", "vaapi", "videotoolbox", "amf"])
def test_a_hardware_encoder_opens_or_says_what_it_needs(tmp_path, make_clip, hardware):
    path = make_clip(tmp_path / "a.mp4", size=(320, 240))
    try:
        rewrite(path, tmp_path / "out.mp4", hardware=hardware)
    except VideoError as error:
        assert error.fix is not None and "It needs" in error.fix and "--hardware" in error.fix
        assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]
    else:
        assert times_of(tmp_path / "out.mp4") == times_of(path)


def test_ctrl_c_leaves_a_whole_file_of_what_was_done(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4", frames=30, rate=Fraction(25), audio="aac")
    with (
        pytest.raises(KeyboardInterrupt),
        VideoSource(path) as source,
        VideoSink(tmp_path / "out.mp4", source) as sink,
    ):
        for frame in source:
            sink.write(frame.image_hwc_bgr, frame)
            if frame.index == 9:
                raise KeyboardInterrupt
    assert times_of(tmp_path / "out.mp4") == times_of(path)[:10]
    (sound,) = packets_of(tmp_path / "out.mp4", "audio")
    assert Fraction(35, 100) < sound[-1][0] < Fraction(40, 100), "sound ends with the pictures"
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize(("count", "error"), [(12, True), (5, True), (0, True), (0, False)])
def test_after_an_error_or_without_a_frame_what_was_there_stays(tmp_path, make_clip, count, error):
    path, out = make_clip(tmp_path / "a.mp4", audio="aac"), tmp_path / "new" / "out.mp4"
    out.parent.mkdir()
    out.write_bytes(b"old")
    expected = pytest.raises(ZeroDivisionError) if error else contextlib.nullcontext()
    with expected, VideoSource(path) as source, VideoSink(out, source) as sink:
        for frame in itertools.islice(source, count):
            sink.write(frame.image_hwc_bgr, frame)
        if error:
            raise ZeroDivisionError
    assert out.read_bytes() == b"old" and [*out.parent.iterdir()] == [out]


def test_a_link_is_followed_and_rights_are_kept(tmp_path, make_clip):
    path, real, link = make_clip(tmp_path / "a.mp4"), tmp_path / "real.mp4", tmp_path / "link.mp4"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    rewrite(path, link)
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o640 and times_of(real) == times_of(path)
    rewrite(path, path)
    assert len(times_of(path)) == 12, "a video may replace itself"


def test_what_came_to_the_place_meanwhile_stays_and_so_does_the_video(tmp_path, make_clip, caplog):
    path, out = make_clip(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    with VideoSource(path) as source, VideoSink(out, source) as sink:
        sink.new = True
        for frame in source:
            sink.write(frame.image_hwc_bgr, frame)
        out.write_text("theirs")
    assert out.read_text() == "theirs" and times_of(sink.path) == times_of(path)
    assert f"the result is {sink.path}" in caplog.text


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4")
    (tmp_path / "file").write_bytes(b"")
    with VideoSource(path) as source, pytest.raises(VideoError, match="Cannot write") as raised:
        VideoSink(tmp_path / "file" / "out.mp4", source)
    assert "--out" in str(raised.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_told(tmp_path, make_clip, monkeypatch):
    path = make_clip(tmp_path / "a.mp4", frames=30)
    part = tmp_path / "x.part"
    monkeypatch.setattr("aif.runtime.video.write.part_beside", lambda path: part)
    with (
        pytest.raises(VideoError, match="Cannot write") as raised,
        VideoSource(path) as source,
        VideoSink(tmp_path / "out.mp4", source) as sink,
    ):
        part.unlink()
        part.symlink_to("/dev/full")
        for frame in source:
            sink.write(frame.image_hwc_bgr, frame)
    cause = raised.value.__cause__
    assert isinstance(cause, OSError) and cause.errno == errno.ENOSPC
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


def test_a_frame_of_another_size_is_refused(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4")
    with (
        VideoSource(path) as source,
        pytest.raises(ValueError, match="the video"),
        VideoSink(tmp_path / "out.mp4", source, size=(128, 48)) as sink,
    ):
        frame = next(iter(source))
        sink.write(np.hstack([frame.image_hwc_bgr] * 2), frame)
        assert sink.frames == 1
        sink.write(frame.image_hwc_bgr, frame)


def test_a_gif_has_no_sound_and_says_so(tmp_path, make_clip, caplog):
    path = make_clip(tmp_path / "a.mp4", audio="aac", rate=Fraction(10))
    rewrite(path, tmp_path / "out.gif")
    assert "no sound" in caplog.text
    with av.open(str(tmp_path / "out.gif")) as container:
        frames = [*container.decode(video=0)]
    assert [frame.pts for frame in frames] == [10 * i for i in range(12)]
    assert {frame.duration for frame in frames} == {10}, "the last one, too"
    caplog.clear()
    rewrite(make_clip(tmp_path / "fast.mp4", rate=Fraction(60)), tmp_path / "fast.gif")
    assert "at most 50 frames" in caplog.text and len(times_of(tmp_path / "fast.gif")) == 12
    caplog.clear()
    Image.new("RGB", (32, 32)).save(tmp_path / "still.gif")
    rewrite(tmp_path / "still.gif", tmp_path / "again.gif")
    assert "frames a second" not in caplog.text


def test_numbered_pictures_are_without_loss(tmp_path, make_clip, caplog):
    path = make_clip(tmp_path / "a.mp4", audio="aac", frames=3)
    rewrite(path, tmp_path / "frames" / "%04d.png")
    assert sorted(each.name for each in (tmp_path / "frames").iterdir()) == [f"000{i}.png" for i in (1, 2, 3)]
    with VideoSource(path) as source:
        for frame in source:
            written = cv2.imread(str(tmp_path / "frames" / f"000{frame.index + 1}.png"))
            np.testing.assert_array_equal(written, frame.image_hwc_bgr)
    assert "no sound" in caplog.text
    with VideoSource(path) as source, pytest.raises(ConfigError, match="one picture"):
        open_sink(tmp_path / "one.png", source)
    with VideoSource(path) as source, pytest.raises(VideoError, match="open_sink"):
        VideoSink(tmp_path / "%d.png", source)
