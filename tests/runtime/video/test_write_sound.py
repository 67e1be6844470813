"""Sound, subtitles and texts of a film that is written again."""

from fractions import Fraction

import av
import numpy as np
import pytest
from films import packets_of, rewrite, times_of

from aif.runtime.video.kinds import VideoError
from aif.runtime.video.streams import kept_texts


@pytest.mark.parametrize(
    ("name", "out", "audio", "rate"),
    [
        ("a.mp4", "out.mp4", "aac", 44100),
        ("a.mp4", "out.mov", "aac", 48000),
        ("a.mkv", "out.mkv", "libopus", 48000),
        ("a.mkv", "out.webm", "libopus", 48000),
        ("a.mkv", "out.mkv", "aac", 44100),
        ("a.mov", "out.mov", "pcm_s16le", 44100),
    ],
)
def test_sound_is_passed_through_untouched(tmp_path, make_clip, name, out, audio, rate):
    path = make_clip(tmp_path / name, frames=30, audio=audio, audio_rate=rate)
    rewrite(path, tmp_path / out)
    before, after = packets_of(path, "audio"), packets_of(tmp_path / out, "audio")
    assert len(after) == len(before) == 1 and len(before[0]) > 20
    if audio == "aac" and name.endswith("mkv"):
        # Matroska cannot hold what lies before zero, the encoder's first silent packet.
        before[0] = [packet for packet in before[0] if packet[0] >= 0]
    assert after == before
    with av.open(str(path)) as old, av.open(str(tmp_path / out)) as new:
        was, now = old.streams.audio[0], new.streams.audio[0]
        if out != "out.mov":  # QuickTime's list of languages is its own
            assert now.metadata["language"] == was.metadata["language"] == "deu"
        assert now.codec_context.sample_rate == was.codec_context.sample_rate == rate


def test_sound_from_mp4_into_matroska_keeps_in_step(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4", frames=30, audio="aac")
    rewrite(path, tmp_path / "out.mkv")
    (before,), (after,) = packets_of(path, "audio"), packets_of(tmp_path / "out.mkv", "audio")
    before = [packet for packet in before if packet[0] >= 0]
    assert [packet[2] for packet in after] == [packet[2] for packet in before]
    assert max(abs(x[0] - y[0]) for x, y in zip(before, after, strict=True)) <= Fraction(1, 1000)
    assert times_of(tmp_path / "out.mkv")[0] == 0


@pytest.mark.parametrize("part", [(0.2, None), (None, 0.5), (0.3, 0.7)])
def test_sound_of_a_part(tmp_path, make_clip, part):
    path = make_clip(tmp_path / "a.mp4", frames=30, rate=Fraction(25), audio="aac")
    rewrite(path, tmp_path / "out.mp4", part)
    begin = Fraction(str(part[0] or 0))
    first = next(time for time in times_of(path) if time >= begin)
    stop = Fraction(str(part[1] or 99))
    assert times_of(tmp_path / "out.mp4") == [time - first for time in times_of(path) if begin <= time < stop]
    (before,), (after,) = packets_of(path, "audio"), packets_of(tmp_path / "out.mp4", "audio")
    expected = [packet for packet in before if first <= packet[0] < stop]
    assert [packet[2] for packet in after] == [packet[2] for packet in expected]
    # MP4 counts a track's delay in ticks of the video's clock.
    tick = Fraction(1, 12800) + Fraction(1, 44100)
    assert max(abs(y[0] + first - x[0]) for x, y in zip(expected, after, strict=True)) <= tick


def test_subtitles_and_chapters(tmp_path, make_clip, caplog):
    chapter = {"id": 7, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}
    lines = [(0, 200, "Good morning"), (250, 380, "and goodbye")]
    path = make_clip(tmp_path / "a.mkv", audio="aac", subtitles=lines, chapters=[chapter])
    rewrite(path, tmp_path / "out.mkv")
    (texts,) = packets_of(tmp_path / "out.mkv", "subtitles")
    assert [packet[2] for packet in texts] == [b"Good morning", b"and goodbye"]
    assert [texts] == packets_of(path, "subtitles") and not caplog.records
    for name in ("out.mkv", "out.mp4"):
        rewrite(path, tmp_path / name)
        with av.open(str(tmp_path / name)) as container:
            assert [each["metadata"]["title"] for each in container.chapters()] == ["One"]
    assert "left out" in caplog.text and packets_of(tmp_path / "out.mp4", "subtitles") == []


def test_sound_that_does_not_fit_is_an_error(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.avi", audio="pcm_mulaw")
    with pytest.raises(VideoError, match=r"cannot be stored in mp4.*\n.*\.mkv"):
        rewrite(path, tmp_path / "out.mp4")
    assert [each.name for each in tmp_path.iterdir()] == ["a.avi"]


def heard(path, begin):
    """Half a second of sound from a time on: 24,000 samples a second."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 24_000)
        blocks = [block for frame in container.decode(audio=0) for block in resampler.resample(frame)]
    samples = np.concatenate([block.to_ndarray().ravel() for block in blocks])
    at = round((begin - float(blocks[0].pts * blocks[0].time_base)) * 24_000)
    return samples[at : at + 12_000]


@pytest.mark.parametrize("begin", [None, 0.2])
def test_sound_that_webm_cannot_hold_becomes_opus_in_step(tmp_path, make_clip, caplog, begin):
    path = make_clip(tmp_path / "a.mp4", frames=40, rate=Fraction(25), audio="aac")
    rewrite(path, tmp_path / "out.webm", (begin, None))
    assert "WebM cannot hold its sound (aac" in caplog.text
    with av.open(str(tmp_path / "out.webm")) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.metadata["language"]) == ("opus", "deu")
    before = heard(path, 0.6 + (begin or 0))
    lags = {lag: np.dot(before, heard(tmp_path / "out.webm", 0.6 + lag / 1000)) for lag in range(-25, 26)}
    assert abs(max(lags, key=lambda lag: lags[lag])) <= 2, "milliseconds"


def test_texts_are_kept_but_for_those_of_the_storage(tmp_path, make_clip):
    path = make_clip(tmp_path / "a.mp4", metadata={"title": "Walk", "artist": "Ü", "comment": "a\nb"})
    for name in ("out.mp4", "out.mkv", "out.mov"):
        rewrite(path, tmp_path / name)
        with av.open(str(tmp_path / name)) as container:
            told = {key.lower(): value for key, value in container.metadata.items()}
        assert (told["title"], told["artist"], told["comment"]) == ("Walk", "Ü", "a\nb")
    stale = dict.fromkeys(("rotate", "BPS-eng", "DURATION", "_STATISTICS_TAGS", "vendor_id"), "1")
    kept = {"language": "deu", "handler_name": "x"}
    assert kept_texts(stale | kept) == kept
