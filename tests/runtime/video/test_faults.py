"""Streams that few test videos show: fifty faces in a frame, none for long, and both by turns."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from staged_faces import Staged
from staged_faces import face as placed

from aif.runtime import Editor, FaceTracker, VideoEditor
from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.model.model import MAX_BATCH

FPS = 25


def points(x, y, eyes=20.0):
    return placed(x, y, eyes)


def crowd(count):
    """Faces in rows of ten, 70 px apart."""
    return [points(60 + 70 * (i % 10), 60 + 70 * (i // 10)) for i in range(count)]


@pytest.fixture(scope="module")
def frame():
    return np.random.default_rng(5).integers(60, 180, (420, 760, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def editor(toy_bundle):
    return Editor.load(toy_bundle, "cpu", Staged(), threads=1)


def made(editor, stage, **settings):
    return VideoEditor(
        editor, {"Smiling": 1.0}, tracker=FaceTracker(stage, stage, 15, fade_s=0.2), **settings
    )


def changed(frame, image, face):
    x, y, width, height = box_from_landmarks(face).astype(int)
    region = np.s_[max(0, y) : y + height, max(0, x) : x + width]
    return bool((frame[region] != image[region]).any())


def test_fifty_faces_in_a_frame(editor, frame, monkeypatch):
    """All are edited, each keeps its number, and the networks' batches stay small."""
    sizes: list[int] = []
    session = editor.model.encoder
    run = session.run
    monkeypatch.setattr(session, "run", lambda o, i: (sizes.append(len(i["image"])), run(o, i))[1])
    everyone = crowd(50)
    video = made(editor, Staged(*everyone))
    for i in range(6):
        result = video.process(frame, i / FPS)
        assert len(result.faces) == len(result.y) == 50
        assert {face.id for face in result.faces} == {*range(50)}
        if i == 5:
            assert all(changed(frame, result.image_hwc_bgr, face) for face in everyone)
    assert max(sizes) <= MAX_BATCH and sum(sizes) == 6 * 50


@pytest.mark.parametrize("start", ["empty", "with a face"])
def test_no_face_for_long(editor, start):
    """Frames come back untouched and copied, detection stays rare, and whoever comes is edited soon."""
    frame, face = np.random.default_rng(5).integers(60, 180, (120, 160, 3)).astype(np.uint8), points(80, 60)
    stage = Staged(face) if start == "with a face" else Staged()
    video = made(editor, stage)
    first = [video.process(frame, i / FPS) for i in range(10)]
    assert all(len(result.faces) == len(stage.faces) for result in first)
    stage.faces, stage.detections = [], 0
    for i in range(10, 310):
        result = video.process(frame, i / FPS)
        if i > 100:
            assert not result.faces and not result.y
            assert not np.shares_memory(result.image_hwc_bgr, frame)
            np.testing.assert_array_equal(result.image_hwc_bgr, frame)
    assert 300 / 15 - 1 <= stage.detections <= 300 / 15 + 20
    assert not len(video._memory)
    stage.faces = [face]
    back = [video.process(frame, (310 + i) / FPS) for i in range(30)]
    noticed = next(i for i, result in enumerate(back) if result.faces)
    assert noticed < 15 and back[-1].faces[0].weight == 1.0
    assert changed(frame, back[-1].image_hwc_bgr, face)
    # It is taken for a newcomer: two seconds are remembered.
    assert back[-1].faces[0].id == len(first[0].faces)


def test_a_crowd_that_comes_and_goes_leaves_nothing_behind(editor, frame):
    stage, numbers = Staged(), set()
    video = made(editor, stage)
    for i in range(12 * FPS):
        stage.faces = crowd(6) if (i // (3 * FPS)) % 2 == 0 else []
        numbers |= {face.id for face in video.process(frame, i / FPS).faces} if i % 25 == 24 else set()
    assert not stage.faces and not len(video._memory)
    assert len(numbers) == 2 * 6, "each time a crowd of newcomers"


@pytest.mark.skipif(not EMBEDDED_BUNDLE.exists(), reason="the embedded bundle is not here")
def test_a_crowd_of_real_faces(astronaut_bgr):
    """More portraits than a batch has faces, with the package's own detector and networks."""
    small = cv2.resize(astronaut_bgr[:240, 110:310], (180, 216), interpolation=cv2.INTER_AREA)
    group = np.tile(small, (3, 6, 1))
    with Editor.load(provider="cpu", detector="haar", threads=1) as editor:
        edited = editor.edit(group, {"Smiling": 0.0})
        assert len(edited.faces) == 18 > MAX_BATCH
        changes = (
            np.abs(edited.image_hwc_bgr.astype(int) - group).reshape(3, 216, 6, 180, 3).max(axis=(1, 3, 4))
        )
        assert (changes > 40).all()
        with VideoEditor(editor, {"Smiling": 0.0}, threads=1) as video:
            results = [video.process(group, i / 5) for i in range(4)]
    assert all(len(result.faces) == 18 for result in results)
    assert all(face.weight == 1.0 for face in results[-1].faces)
