"""How fast a film is edited from file to file, what takes the time, and how fast the networks alone are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.bench.measure import NETWORKS, Progress, Row, Setup, Stopwatch, rows_of, take_turns
from aif.runtime.editing.editor import Editor
from aif.runtime.editing.path import FaceInputs
from aif.runtime.errors import ConfigError, NoFaceError
from aif.runtime.video.codecs import choose_encoding
from aif.runtime.video.editor import VideoEditor, face_view
from aif.runtime.video.kinds import VideoError
from aif.runtime.video.pipeline import run_pipeline
from aif.runtime.video.read import Frame, VideoSource
from aif.runtime.video.write import VideoSink

EDIT = ("track", "align", "encode", "decode_faces", "composite")
CODEC = ("read", "write")
STAGES = ("read", "to_bgr", *EDIT, "to_yuv", "write")

WARM_UP = 1.0
"""Seconds of the film that are edited before anything is timed."""


@dataclass
class _Faces:
    """Of each frame of the last round how many faces it had, and at how many the networks looked; and as many
    faces to run the networks on alone."""

    edited: list[int] = field(default_factory=list)
    renewed: list[int] = field(default_factory=list)
    inputs: dict[int, FaceInputs] = field(default_factory=dict)


def bench_video(
    editors: Mapping[Setup, Editor],
    path: Path,
    edits: Mapping[str, float],
    seconds: float | None,
    rounds: int,
    progress: Progress | None = None,
) -> list[Row]:
    """Edit a film from file to file, as aif-edit does, and in between run the networks alone, and the codecs.

    Figures, in frames a second over the same frames: `film_per_second` from opening the film to the finished
    file, `edits_per_second` of the editing thread while it works, `networks_per_second` of encoder and
    decoder alone on the same faces as in the film, `copies_per_second` of the film decoded and encoded again
    without an edit. `renewed_share` is the share of the frames with faces in which encoder and decoder run.
    `ratio_to_networks` is the first over the third, `edit_ratio_to_networks` the second over the third.
    `networks_share_of_edit` and `networks_share_without_codec` say which part of the editing, and of all work
    but the codecs', the two networks are.

    The stages are timed where they happen, in three threads side by side: they add up to more than a frame's
    time, and each waits for a core where there are too few. `read` and `write` are the codecs with their
    containers, `to_bgr` and `to_yuv` the change of colours, `track` everything that finds faces.

    Args:
        editors: by setup; they take turns.
        path: of the film.
        edits: as for `VideoEditor`.
        seconds: how much of the film; None = all.
        rounds: turns of each.

    Raises:
        NoFaceError: no frame has a face.
        AifError: the film cannot be read, or written in its own kind of file or as MP4.
    """
    watches = {setup: Stopwatch() for setup in editors}
    faces = {setup: _Faces() for setup in editors}
    with TemporaryDirectory(prefix="aif-bench-") as folder:
        target = Path(folder) / f"film{_suffix(path)}"
        turns: dict[tuple[Setup | None, str], Callable[[], dict[str, float]]] = {
            (None, "copy"): partial(_copy, path, target, seconds)
        }
        for setup, editor in editors.items():
            film = partial(_film, editor, setup, path, target, edits, faces[setup])
            film(Stopwatch(), min(seconds or WARM_UP, WARM_UP))
            turns[setup, "film"] = partial(film, watches[setup], seconds)
            turns[setup, "networks"] = partial(_networks, editor, path, faces[setup])
        turned = take_turns(turns, rounds, progress)
    copies = turned[None, "copy"]
    found = {setup: [*turned[setup, "film"], *turned[setup, "networks"], *copies] for setup in editors}
    rows = rows_of(editors, watches, STAGES, found)
    for figures in (row.figures for row in rows):
        figures["ratio_to_networks"] = figures["film_per_second"] / figures["networks_per_second"]
        figures["edit_ratio_to_networks"] = figures["edits_per_second"] / figures["networks_per_second"]
    return rows


class _TimedSource(VideoSource):
    """Times decoding and the change of colours apart."""

    watch: Stopwatch

    def __iter__(self) -> Iterator[Frame]:
        frames = super().__iter__()
        while True:
            start = time.perf_counter()
            frame = next(frames, None)
            if frame is None:
                return
            spent = time.perf_counter() - start
            self.watch.add("read", spent - self.watch.seconds["to_bgr"][-1])
            yield frame

    def _upright(self, frame: av.VideoFrame) -> UInt8Array:
        with self.watch.time("to_bgr"):
            return super()._upright(frame)


class _TimedSink(VideoSink):
    """Times encoding and the change of colours apart."""

    watch: Stopwatch

    def write(self, image_hwc_bgr: UInt8Array, frame: Frame) -> None:
        start = time.perf_counter()
        super().write(image_hwc_bgr, frame)
        spent = time.perf_counter() - start
        self.watch.add("write", spent - self.watch.seconds["to_yuv"][-1])

    def _picture(self, image_hwc_bgr: UInt8Array) -> av.VideoFrame:
        with self.watch.time("to_yuv"):
            return super()._picture(image_hwc_bgr)


def _film(
    editor: Editor,
    setup: Setup,
    path: Path,
    target: Path,
    edits: Mapping[str, float],
    faces: _Faces,
    watch: Stopwatch,
    seconds: float | None,
) -> dict[str, float]:
    """The film once, from file to file."""
    own, known = Stopwatch(), dict(faces.inputs)
    faces.edited, faces.renewed = [], []
    with VideoEditor(editor, edits, threads=setup.threads) as frames:

        def edit(image_hwc_bgr: UInt8Array, time_s: float) -> UInt8Array:
            result = frames.process(image_hwc_bgr, time_s)
            own.add_edit(result.timings)
            faces.edited.append(len(result.y))
            faces.renewed.append(len(result.renewed))
            if len(result.renewed) not in known:
                seen = [face_view(editor.path, face) for face in result.faces if face.id in result.renewed]
                known[len(seen)] = editor.path.cut(image_hwc_bgr, seen)
            return result.image_hwc_bgr

        whole = _run(path, target, seconds, edit, own)
    faces.inputs = known
    watch.join(own)
    count, networks, editing = len(faces.edited), own.total(NETWORKS), own.total(EDIT)
    with_faces, renewed = (float(np.count_nonzero(each)) for each in (faces.edited, faces.renewed))
    return {
        "frames": float(count),
        "frames_with_faces": with_faces,
        "renewed_share": renewed / max(with_faces, 1),
        "film_per_second": count / whole,
        "edits_per_second": count / editing,
        "networks_share_of_edit": networks / editing,
        "networks_share_without_codec": networks / (own.total() - own.total(CODEC)),
    }


def _copy(path: Path, target: Path, seconds: float | None) -> dict[str, float]:
    """The same film with every frame as it was: what codecs and colours alone would allow."""
    watch = Stopwatch()
    whole = _run(path, target, seconds, lambda image, time_s: image, watch)
    return {"copies_per_second": len(watch.seconds["to_bgr"]) / whole}


def _run(
    path: Path,
    target: Path,
    seconds: float | None,
    edit: Callable[[UInt8Array, float], UInt8Array],
    watch: Stopwatch,
) -> float:
    """Seconds from opening the film to the finished file."""
    begin = time.perf_counter()
    with _TimedSource(path, None, seconds) as source:
        source.watch = watch
        with _TimedSink(target, source) as sink:
            sink.watch = watch
            run_pipeline(source, edit, sink)
        return time.perf_counter() - begin


def _networks(editor: Editor, path: Path, faces: _Faces) -> dict[str, float]:
    """Encoder and decoder alone, on as many faces a frame as they looked at in the film."""
    if not any(faces.renewed):
        raise NoFaceError(f"{path} shows no face that could be edited.", "Choose another film.")
    begin = time.perf_counter()
    for count in faces.renewed:
        if count:
            encoding = editor.path.encode(faces.inputs[count]).encoding
            editor.model.decode_both(encoding, encoding.y, encoding.y)
    return {"networks_per_second": len(faces.renewed) / (time.perf_counter() - begin)}


def _suffix(path: Path) -> str:
    """The film's own suffix where such a file can be written, else MP4's."""
    try:
        choose_encoding(path)
    except (ConfigError, VideoError):
        return ".mp4"
    return path.suffix if path.suffix.lower() != ".gif" and "%" not in path.name else ".mp4"
