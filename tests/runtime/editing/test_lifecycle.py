"""Closing gives back memory, threads and files, over and over; and what threads may do."""

import gc
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from staged_faces import Finds

from aif.runtime import (
    Detection,
    Editor,
    FaceModel,
    FrameWorker,
    LandmarkNet,
    VideoEditor,
    VideoSink,
    VideoSource,
    YuNetDetector,
)
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.geometry.align import template

psutil = pytest.importorskip("psutil")

FACE = Detection(np.array([0, 0, 96, 96], np.float32), template(96), 1.0)


@pytest.fixture(scope="module")
def frame():
    return np.random.default_rng(3).integers(40, 200, (96, 96, 3)).astype(np.uint8)


def usage():
    """Resident MB, threads and open files of this process."""
    gc.collect()
    process = psutil.Process()
    files = process.num_handles() if os.name == "nt" else process.num_fds()
    return process.memory_info().rss / 2**20, process.num_threads(), files


@contextmanager
def nothing_kept(megabytes):
    """Fail where memory has grown by more than this, or threads or open files have grown at all."""
    memory, threads, files = usage()
    yield
    after = usage()
    assert after[0] - memory < megabytes
    assert (after[1], after[2]) <= (threads, files)


def edit_photo_and_frames(bundle, frame, threads):
    with Editor.load(bundle.path, "cpu", Finds(FACE), threads) as editor:
        assert editor.edit(frame, {"Smiling": 1.0}).faces
        with VideoEditor(editor, {"Smiling": 1.0}, threads=1) as video:
            video.process(frame, 0.0)
            with FrameWorker(video.process, lambda result: None) as worker:
                worker.submit(frame, 0.1)


def detect(bundle, frame):
    with Editor.load(bundle, "cpu", "haar", 1) as editor:
        editor.detect(frame)


@pytest.mark.parametrize(
    ("warm", "count", "megabytes", "cycle"),
    [
        (60, 150, 4, partial(edit_photo_and_frames, threads=1)),
        (5, 20, 6, partial(edit_photo_and_frames, threads=3)),
        (4, 8, 6, detect),
    ],
    ids=["one thread", "three threads", "detectors"],
)
def test_editors_that_are_closed_leave_nothing(toy_bundle, frame, warm, count, megabytes, cycle):
    """The first fill caches and the allocator's pools. A kept one costs 0.3 to 0.5 MB, its detectors 10;
    what each of 150 leaves is found from 27 KB on."""
    for _ in range(warm):
        cycle(toy_bundle, frame)
    with nothing_kept(megabytes):
        for _ in range(count):
            cycle(toy_bundle, frame)


def test_the_files_of_many_videos(tmp_path, make_clip):
    path = make_clip(tmp_path / "in.mp4", audio="aac")

    def cycle(i):
        with VideoSource(path) as source, VideoSink(tmp_path / "out.mp4", source) as sink:
            for frame in source:
                sink.write(frame.image_hwc_bgr, frame)
                if frame.index == i % 5:
                    break  # left early

    for i in range(20):
        cycle(i)
    with nothing_kept(megabytes=16):
        for i in range(50):
            cycle(i)


def test_a_closed_editor_keeps_nothing_alive(toy_bundle, frame):
    detector = Finds(FACE)
    editor = Editor(FaceModel(toy_bundle, threads=1), detector)
    video = VideoEditor(editor, {"Smiling": 1.0}, threads=1)
    video.process(frame, 0.0)
    held = [weakref.ref(editor.model), weakref.ref(detector)]
    del detector
    editor.close()
    video.close()
    gc.collect()
    assert [ref() for ref in held] == [None, None]
    for call in (lambda: editor.detect(frame), lambda: editor.edit(frame, {}, detections=[FACE])):
        with pytest.raises(AifError, match="editor has been closed"):
            call()


def test_an_error_in_the_block_closes_too(toy_bundle, frame):
    with pytest.raises(KeyError), Editor.load(toy_bundle, "cpu", Finds(FACE), 1) as editor:
        raise KeyError
    with pytest.raises(AifError, match="closed"):
        editor.edit(frame, {})


def outcomes(work, count=24, threads=4):
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(count)))


def test_editor_model_and_landmark_network_in_several_threads(toy_bundle, frame):
    """What comes out of several threads at once is, bit for bit, what comes out one after the other."""
    frames = [np.roll(frame, i, axis=1) for i in range(24)]
    crops = np.stack([each[:32, :32] for each in frames])
    net = LandmarkNet(toy_bundle, 1)
    with Editor.load(toy_bundle, "cpu", Finds(FACE), 1) as editor:
        for work in (
            lambda i: editor.edit(frames[i], {"Smiling": i / 24}).image_hwc_bgr,
            lambda i: editor.edit_crops(crops[i : i + 3], {"Smiling": i / 24}).images_nhwc_bgr,
            lambda i: editor.model.encode(np.float32(crops[i : i + 1].transpose(0, 3, 1, 2) / 255)).z,
            lambda i: net.refine_all(frames[i], [(10, 10, 60, 60)]).points,
        ):
            for alone, together in zip([work(i) for i in range(24)], outcomes(work), strict=True):
                np.testing.assert_array_equal(alone, together)


def test_streams_of_one_editor_in_several_threads(toy_bundle, frame):
    """One `VideoEditor` a stream, one `Editor` for all of them."""
    with Editor.load(toy_bundle, "cpu", Finds(FACE), 1) as editor:

        def stream(number):
            with VideoEditor(editor, {"Smiling": number / 8}, threads=1) as video:
                frames = [(np.roll(frame, number + i, axis=0), i / 25) for i in range(6)]
                return [result.image_hwc_bgr.tobytes() for result in video.edit_frames(frames)]

        assert outcomes(stream, 8) == [stream(i) for i in range(8)]


def test_haar_detection_takes_turns(toy_bundle, astronaut_bgr):
    frames = [np.roll(astronaut_bgr[:240, 110:310], 20 * i, axis=1) for i in range(4)]
    with Editor.load(toy_bundle, "cpu", "haar", 1) as editor:

        def boxes(i):
            return [face.box_xywh.tolist() for face in editor.detect(frames[i])]

        alone = [boxes(i) for i in range(4)]
        assert any(alone) and outcomes(boxes, 4) == alone


def test_closing_while_others_edit(toy_bundle, frame):
    """Whoever is at work finishes; whoever comes later is told."""
    editor = Editor.load(toy_bundle, "cpu", Finds(FACE), 1)
    expected = editor.edit(frame, {"Smiling": 1.0}).image_hwc_bgr
    begun, said = threading.Barrier(4), []

    def work():
        begun.wait(10)
        try:
            for _ in range(100_000):
                np.testing.assert_array_equal(editor.edit(frame, {"Smiling": 1.0}).image_hwc_bgr, expected)
        except AifError as error:
            said.append(error.message)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.wait(10)
    editor.close()
    for thread in threads:
        thread.join(20)
    assert said == ["This editor has been closed."] * 3


@pytest.mark.parametrize("detector", ["auto", "yunet"])
def test_a_yunet_file_for_the_library(toy_bundle, tmp_path, monkeypatch, detector):
    loaded = []

    def load(self, path, *rest):
        loaded.append(path)

    monkeypatch.setattr(YuNetDetector, "__init__", load)
    file = tmp_path / "yunet.onnx"
    with Editor.load(toy_bundle, "cpu", detector, 1, yunet=str(file)):
        assert loaded == [file]


@pytest.mark.parametrize(
    ("detector", "yunet", "said"),
    [
        ("haar", "yunet.onnx", "contradict"),
        (Finds(FACE), "yunet.onnx", "contradict"),
        ("yunet", "nowhere.onnx", "YuNet cannot be loaded from nowhere.onnx"),
    ],
)
def test_a_yunet_file_that_cannot_be_used(toy_bundle, detector, yunet, said):
    with pytest.raises(ConfigError, match=said):
        Editor.load(toy_bundle, "cpu", detector, 1, yunet=yunet)
