"""What is in a film, as PyAV alone sees it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from aif.runtime.video.read import VideoSource
from aif.runtime.video.write import open_sink

UNEVEN = (0, 3000, 3300, 9000, 9001, 20000, 30000, 33000, 40000, 40003, 60000, 90000)
LATE = tuple(45001 + 3003 * i for i in range(12))
CLIPS: dict[str, dict[str, Any]] = {
    "ntsc.mp4": {},
    "pal.avi": {"rate": Fraction(25), "codec": "mpeg4"},
    "uneven.mp4": {"pts": UNEVEN, "time_base": Fraction(1, 90000)},
    "uneven.mkv": {"pts": UNEVEN, "time_base": Fraction(1, 1000)},
    "late.mp4": {
        "pts": LATE,
        "time_base": Fraction(1, 90000),
        "container_options": {"movie_timescale": "90000"},
    },
}
"""What `make_clip` needs for films of each kind of clock."""


def rewrite(path: Path, out: Path, part: tuple[Any, Any] = (None, None), **options: Any) -> None:
    """Write a film again as it is."""
    with VideoSource(path, *part) as source, open_sink(out, source, **options) as sink:
        for frame in source:
            sink.write(frame.image_hwc_bgr, frame)
        assert sink.frames == source.count


def frames_of(path: Path) -> np.ndarray:
    """All frames: int (N, H, W, 3) BGR."""
    with av.open(str(path)) as film:
        return np.stack([frame.to_ndarray(format="bgr24") for frame in film.decode(video=0)]).astype(int)


def times_of(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    with av.open(str(path)) as film:
        return [frame.pts * Fraction(frame.time_base) for frame in film.decode(video=0)]


def packets_of(path: Path, kind: str) -> list[list[tuple[Fraction, Fraction, bytes]]]:
    """Of each stream of a kind: time, duration and bytes of its packets."""
    with av.open(str(path)) as film:
        streams = getattr(film.streams, kind)
        found: dict[int, list[tuple[Fraction, Fraction, bytes]]] = {stream.index: [] for stream in streams}
        for each in film.demux(list(streams)) if streams else []:
            if each.size and each.pts is not None:
                times = each.pts * Fraction(each.time_base), (each.duration or 0) * Fraction(each.time_base)
                found[each.stream_index].append((*times, bytes(each)))
    return [*found.values()]


def sound_only(path: Path, *, video: bool = False) -> None:
    """Write a second of silence; with `video` beside a stream of pictures that never gets one."""
    with av.open(str(path), "w") as out:
        if video:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream = out.add_stream("aac", rate=44100, layout="mono")
        for start in range(0, 44100, 1024):
            block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            block.sample_rate, block.pts, block.time_base = 44100, start, Fraction(1, 44100)
            out.mux(stream.encode(block))
        out.mux(stream.encode(None))
