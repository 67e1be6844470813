"""Videos as they are found in the wild: every frame once, in order, upright, with its own time."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from films import CLIPS, sound_only

from aif.runtime.video.decode import Decoder
from aif.runtime.video.kinds import VideoError, is_sequence, is_video, sequence_files, sequence_name
from aif.runtime.video.read import VideoFrame, VideoSource


def read(path, *words, **options):
    with VideoSource(path, *words, **options) as source:
        return source, list(source)


def levels(frames):
    """The brightness of each frame's middle; frame i of a test clip has 30 + 6 i."""
    return [float(frame.image_hwc_bgr[20:28, 28:36].mean()) for frame in frames]


GIF = {"codec": "gif", "pix_fmt": "bgr8", "pts": [7 * i for i in range(12)], "time_base": Fraction(1, 100)}


@pytest.mark.parametrize(
    ("name", "options"),
    [*CLIPS.items(), ("ntsc.mov", CLIPS["ntsc.mp4"]), ("slow.gif", GIF)],
)
def test_every_frame_has_its_own_timestamp(tmp_path, make_clip, name, options):
    time_base = options.get("time_base", 1 / options["rate"] if "rate" in options else Fraction(1, 30000))
    pts = list(options.get("pts", range(12) if "rate" in options else range(0, 12 * 1001, 1001)))
    source, frames = read(make_clip(tmp_path / name, **options))
    assert [frame.pts for frame in frames] == pts
    assert {frame.time_base for frame in frames} == {source.time_base} == {time_base}
    assert [frame.index for frame in frames] == list(range(12)) and source.count == 12 and source.exhausted
    assert (source.width, source.height, source.shift, source.whole) == (64, 48, 0, True)
    tolerance = 25 if name.endswith("gif") else 3  # the clip's 256 fixed colours
    np.testing.assert_allclose(levels(frames), [30 + 6 * i for i in range(12)], atol=tolerance)
    assert frames[2].time_s == float(pts[2] * time_base)


@pytest.mark.parametrize(
    ("options", "rate", "estimated"),
    [
        ({"rate": Fraction(30000, 1001)}, Fraction(30000, 1001), 12),
        ({"rate": Fraction(24000, 1001), "frames": 30}, Fraction(24000, 1001), 30),
        ({"rate": Fraction(50), "frames": 1}, Fraction(50), 1),
    ],
)
def test_what_is_known_before_reading(tmp_path, make_clip, options, rate, estimated):
    path = make_clip(tmp_path / "a.mp4", audio="aac", metadata={"title": "Walk"}, **options)
    with VideoSource(path) as source:
        assert (source.rate, source.estimated_frames, source.count) == (rate, estimated, 0)
        assert source.duration_s == pytest.approx(float(estimated / rate), abs=0.01)
        assert source.audio == ("aac 44100 Hz mono (deu)",) and source.subtitles == ()
        assert source.metadata["title"] == "Walk"
        assert not source.exhausted and source.start == 0


def test_matroska_without_a_count_of_frames(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mkv", frames=20, rate=Fraction(20), subtitles=[(0, 400, "Hello")])
    source, frames = read(path)
    assert source.estimated_frames == len(frames) == 20 and source.subtitles == ("srt",)


def corners(image):
    """Colours of the corners: top left, top right, bottom right, bottom left."""
    high, wide = image.shape[:2]
    names = []
    for y, x in ((4, 4), (4, wide - 5), (high - 5, wide - 5), (high - 5, 4)):
        pixel = image[y, x].astype(int)
        names.append("bgr"[int(pixel.argmax())] if np.ptp(pixel) > 60 else "-")
    return names


@pytest.mark.parametrize(
    ("rotation", "mirrored", "size", "expected"),
    [
        (0, False, (64, 48), ["b", "g", "-", "r"]),
        (90, False, (48, 64), ["g", "-", "r", "b"]),  # counter-clockwise
        (-90, False, (48, 64), ["r", "b", "g", "-"]),
        (180, False, (64, 48), ["-", "r", "b", "g"]),
        (0, True, (64, 48), ["g", "b", "r", "-"]),
        (90, True, (48, 64), ["-", "g", "b", "r"]),
        (-90, True, (48, 64), ["b", "r", "-", "g"]),
    ],
)
def test_frames_are_turned_upright(tmp_path, make_clip, rotation, mirrored, size, expected):
    path = make_clip(tmp_path / "a.mp4", rotation=(rotation, mirrored), pixel_aspect=Fraction(4, 3))
    source, frames = read(path)
    assert (source.width, source.height) == size
    assert source.pixel_aspect == (Fraction(3, 4) if rotation in {90, -90} else Fraction(4, 3))
    for frame in frames:
        assert frame.image_hwc_bgr.shape == (size[1], size[0], 3) and frame.image_hwc_bgr.dtype == np.uint8
        assert corners(frame.image_hwc_bgr) == expected


def test_a_slant_is_said_and_left(tmp_path, make_clip, caplog):
    source, frames = read(make_clip(tmp_path / "a.mp4", rotation=(30, False)))
    assert "slant" in caplog.text and (source.width, len(frames)) == (64, 12)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("odd.webm", {"size": (63, 47), "codec": "libvpx-vp9"}, ""),
        ("odd.mp4", {"size": (63, 47), "pix_fmt": "yuv444p"}, ""),
        ("422.mp4", {"pix_fmt": "yuv422p"}, ""),
        ("deep.mp4", {"pix_fmt": "yuv420p10le"}, ""),
        ("deeper.mkv", {"pix_fmt": "yuv444p12le", "codec": "ffv1"}, "12 bits"),
        ("grey.mkv", {"pix_fmt": "gray", "codec": "ffv1"}, ""),
        ("deep_grey.mkv", {"pix_fmt": "gray10le", "codec": "ffv1"}, "10 bits"),
        ("full.mp4", {"colour": (2, 1, 1, 1)}, ""),
        ("full.avi", {"pix_fmt": "yuvj420p", "codec": "mjpeg", "rate": Fraction(25)}, ""),
        ("sd.mp4", {"colour": (1, 6, 6, 6)}, ""),
        ("rgb.avi", {"pix_fmt": "bgr0", "codec": "ffv1"}, ""),
    ],
)
def test_kinds_of_pictures(tmp_path, make_clip, caplog, name, options, said):
    source, frames = read(make_clip(tmp_path / name, **options))
    wide, high = options.get("size", (64, 48))
    assert all(frame.image_hwc_bgr.shape == (high, wide, 3) for frame in frames) and len(frames) == 12
    np.testing.assert_allclose(levels(frames), [30 + 6 * i for i in range(12)], atol=4)
    if not name.startswith(("grey", "deep_grey")):
        assert corners(frames[0].image_hwc_bgr) == ["b", "g", "-", "r"]
    if "colour" in options:
        colour = source.colour
        assert (colour.range, colour.matrix, colour.primaries, colour.transfer) == options["colour"]
    messages = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert (said in messages[0] and len(messages) == 1) if said else not messages


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.gif", "%02d.png"])
@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        (None, None, range(30)),
        (0, None, range(30)),
        (0.0, 0.04, range(1)),
        (None, 0.5, range(13)),  # 12 x 0.04 = 0.48 is the last before 0.5
        (0.5, None, range(13, 30)),
        (0.52, 0.6, range(13, 15)),
        (0.9, 99, range(23, 30)),
        (1.16, None, range(29, 30)),
    ],
)
def test_a_part_of_a_video(tmp_path, make_clip, name, start, end, kept):
    rate = Fraction(25)
    if name == "%02d.png":
        path, rest = numbered(tmp_path, range(30), name), {"fps": rate}
    else:
        codec = {"a.avi": "mpeg4", "a.gif": "gif"}.get(name, "libx264")
        pix_fmt = "bgr8" if codec == "gif" else "yuv420p"
        path, rest = make_clip(tmp_path / name, frames=30, rate=rate, codec=codec, pix_fmt=pix_fmt), {}
    every = read(path, **rest)[1]
    source, frames = read(path, start, end, **rest)
    assert [frame.pts for frame in frames] == [every[i].pts for i in kept]
    assert [frame.index for frame in frames] == list(range(len(kept)))
    np.testing.assert_allclose(levels(frames), [levels(every)[i] for i in kept], atol=0.01)
    assert source.estimated_frames == pytest.approx(len(kept), abs=1)
    if start is not None:
        assert source.shift == source.start == every[kept[0]].pts * source.time_base
    assert source.whole == (start is None and end is None)


def test_zero_of_a_broadcast_is_where_it_begins(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.ts", rate=Fraction(25), pts=range(9000, 9012), time_base=Fraction(1, 25))
    source, frames = read(path)
    assert source.shift > 359 and frames[0].pts * source.time_base - source.shift < Fraction(1, 5)
    assert len(read(path, 0.2, 0.4)[1]) == 5


@pytest.mark.parametrize(
    ("start", "end", "said"), [(5, None, "0.48 seconds long"), (None, 0, "no frame"), (-3, -1, "no frame")]
)
def test_a_part_without_frames(tmp_path, make_clip, start, end, said):
    path = make_clip(tmp_path / "a.mp4", rate=Fraction(25))
    with pytest.raises(VideoError, match=said):
        VideoSource(path, start, end)


@pytest.mark.parametrize(
    ("name", "options", "share", "said"),
    [
        (
            "a.mp4",
            {"container_options": {"movflags": "faststart"}, "options": {"bf": "0"}},
            0.6,
            "breaks off",
        ),
        ("a.mkv", {}, 0.6, "breaks off"),
        ("a.webm", {"codec": "libvpx-vp9"}, 0.6, "breaks off"),
        ("a.avi", {"codec": "mpeg4", "rate": Fraction(25)}, 0.7, "breaks off"),
        ("a.ts", {}, 0.6, None),  # a broadcast tells no length
    ],
)
def test_a_file_that_breaks_off_gives_what_is_there(tmp_path, make_clip, caplog, name, options, share, said):
    path = make_clip(tmp_path / name, frames=36, **options)
    whole = [frame.pts for frame in read(path)[1]]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    caplog.clear()
    source, frames = read(path)
    assert 2 <= len(frames) < 36 and source.exhausted
    assert [frame.pts for frame in frames] == whole[: len(frames)]
    assert said is None or said in caplog.text


def test_damage_in_the_middle_is_survived(tmp_path, make_clip, caplog):
    path = make_clip(tmp_path / "a.mp4", frames=30, options={"bf": "0"})
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    place, size = packets[15].pos, packets[15].size
    assert place is not None
    data[place : place + size] = b"\xff" * size
    path.write_bytes(bytes(data))
    frames = read(path)[1]
    assert len(frames) >= 24 and frames[-1].pts == 29 * 1001
    assert "1 damaged packet" in caplog.text


def hostile(times):
    """A decoder whose stream yields frames at these times, 10 ticks long each."""
    frames = [SimpleNamespace(pts=pts, duration=10) for pts in times]
    stream = SimpleNamespace(
        time_base=Fraction(1, 100),
        duration=None,
        metadata={},
        decode=lambda packet: [] if packet is None else [packet],
    )
    container = SimpleNamespace(demux=lambda stream: iter(frames))
    return Decoder(container, stream, "it", 10)


@pytest.mark.parametrize(
    ("times", "mended", "said"),
    [
        ([0, 10, 20], [0, 10, 20], []),
        ([], [], []),
        ([None, None, None], [0, 10, 20], ["3 frames had no timestamp"]),
        ([5, None, 40], [5, 15, 40], ["1 frame had no timestamp"]),
        ([0, 10, 10, 10, 30], [0, 10, 11, 12, 30], ["2 frames had the time"]),
        ([0, 10, 5, 30], [0, 10, 11, 30], ["1 frame had the time"]),
        ([-20, -10, 0], [-20, -10, 0], []),
        ([10, 0, None, 30], [10, 11, 21, 30], ["1 frame had no", "1 frame had the time"]),
    ],
)
def test_timestamps_only_rise(times, mended, said, caplog):
    assert [pts for _, pts in hostile(times).frames(None, None)] == mended
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(said)
    assert all(part in message for part, message in zip(said, messages, strict=True))


def test_frames_of_another_size_are_resized(tmp_path, make_clip, caplog):
    """A Motion JPEG file may change its size at any frame."""
    path = tmp_path / "a.mkv"
    sizes = [(48, 64), (48, 64), (96, 128), (96, 128)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for i, (high, wide) in enumerate(sizes):
            packet = av.Packet(cv2.imencode(".jpg", np.full((high, wide, 3), 90, np.uint8))[1].tobytes())
            packet.pts = packet.dts = i
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), stream, True
            out.mux(packet)
    frames = read(path)[1]
    assert [frame.image_hwc_bgr.shape for frame in frames] == [(48, 64, 3)] * 4
    assert caplog.text.count("changes its size to 128 x 96") == 1


def headless(path):
    path.write_bytes(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + b"\0\0\0\x40mdat" + bytes(56))


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("nowhere.mp4", None, "There is no file"),
        ("empty.mp4", lambda path: path.write_bytes(b""), "empty"),
        ("folder.mp4", lambda path: path.mkdir(), "is a folder"),
        ("text.mp4", lambda path: path.write_text("only words " * 99), "not a video"),
        ("art.txt", lambda path: path.write_text("only words"), "not a video"),
        ("noise.mp4", lambda path: path.write_bytes(bytes(range(256)) * 40), "not a video"),
        ("picture.png", lambda path: cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8)), "not a video"),
        ("sound.mp4", sound_only, "only sound"),
        ("broken.mp4", headless, "index"),
        ("list.m3u8", lambda path: path.write_text("#EXTM3U\n#EXTINF:5,\n/etc/hostname\n"), "not a video"),
        ("list.mp4", lambda path: path.write_text("ffconcat version 1.0\nfile a.mp4\n"), "not a video"),
    ],
)
def test_what_is_no_video(tmp_path, name, make, said):
    path = tmp_path / name
    if make is not None:
        make(path)
    with pytest.raises(VideoError, match=said) as raised:
        VideoSource(path)
    assert str(tmp_path) in raised.value.message


@pytest.mark.parametrize("name", ["a:b.mp4", "http:x.mp4", "ü 笑 ☺.mp4", "-a.mp4", "50%.mp4"])
def test_odd_names(tmp_path, make_clip, name, monkeypatch):
    make_clip(tmp_path / "plain.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(read(Path(name))[1]) == len(read(tmp_path / name)[1]) == 12


def numbered(folder, numbers, name="f_%03d.png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i in numbers:
        cv2.imwrite(str(folder / (name % i)), np.full((48, 64, 3), 30 + 6 * i, np.uint8))
    return folder / name


@pytest.mark.parametrize("first", [0, 1, 27])
@pytest.mark.parametrize("name", ["f_%03d.png", "%d.png", "%02d.jpg"])
def test_numbered_pictures(tmp_path, first, name):
    pattern = numbered(tmp_path, range(first, first + 6), name)
    source, frames = read(pattern, fps=Fraction(30000, 1001))
    assert [frame.pts * frame.time_base for frame in frames] == [i * Fraction(1001, 30000) for i in range(6)]
    np.testing.assert_allclose(levels(frames), [30 + 6 * i for i in range(first, first + 6)], atol=1)
    assert source.estimated_frames == 6 and source.audio == ()


def test_a_gap_in_the_numbers_is_said(tmp_path, caplog):
    pattern = numbered(tmp_path, [1, 2, 3, 5, 6])
    assert len(read(pattern, fps=25)[1]) == 3 and "number 4 is missing" in caplog.text


def test_numbered_pictures_need_a_rate(tmp_path, make_clip):
    with pytest.raises(VideoError, match="--fps"):
        VideoSource(numbered(tmp_path, range(3)))
    with pytest.raises(VideoError, match="No file matches"):
        VideoSource(tmp_path / "x_%04d.png", fps=25)
    with pytest.raises(VideoError, match="own frame rate"):
        VideoSource(make_clip(tmp_path / "a.mp4"), fps=25)


def test_patterns_and_names(tmp_path):
    pattern = numbered(tmp_path, range(9, 12), "%02d%%.png".replace("%%", "x"))
    (tmp_path / "010x.png").write_bytes(b"another width")
    assert list(sequence_files(pattern)) == [9, 10, 11] and sequence_name(pattern, 7) == "07x.png"
    assert is_sequence(pattern) and not is_sequence(Path("100%.mp4")) and not is_sequence(Path("a.mp4"))
    (tmp_path / "%d.png").write_bytes(b"")
    assert not is_sequence(tmp_path / "%d.png"), "a file of that very name"
    assert sequence_files(tmp_path / "nowhere" / "%d.png") == {}


def test_videos_are_told_by_suffix_or_first_bytes(tmp_path, make_clip):
    plain = make_clip(tmp_path / "a.mp4")
    for name in ("b", "c.data", "d.mkv"):
        (tmp_path / name).write_bytes(plain.read_bytes())
        assert is_video(tmp_path / name)
    heic = tmp_path / "photo"
    heic.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert not is_video(heic) and not is_video(tmp_path / "x.png") and not is_video(tmp_path / "nowhere")
    assert not is_video(tmp_path)


def test_leaving_early_and_going_on(tmp_path, make_clip):
    with VideoSource(make_clip(tmp_path / "a.mp4")) as source:
        frames: Iterator[VideoFrame] = iter(source)
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        assert not source.exhausted and source.count == 3
        assert [frame.index for frame in source] == list(range(3, 12)) and source.exhausted
        assert list(source) == []
    source.close()
    assert list(source) == []
