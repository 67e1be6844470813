"""Streams that few test videos show: fifty faces in a frame, and none for long."""

import numpy as np
import pytest
from staged_faces import Staged, face

from aif.runtime import Editor, FaceTracker, VideoEditor
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.model.model import MAX_BATCH

FPS = 25


def grey(height, width):
    return np.random.default_rng(5).integers(60, 180, (height, width, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def editor(toy_bundle):
    return Editor.load(toy_bundle, "cpu", Staged(), threads=1)


def made(editor, stage, **settings):
    return VideoEditor(
        editor, {"Smiling": 1.0}, tracker=FaceTracker(stage, stage, 15, fade_s=0.2), **settings
    )


def changed(frame, image, landmarks):
    x, y, width, height = box_from_landmarks(landmarks).astype(int)
    region = np.s_[max(0, y) : y + height, max(0, x) : x + width]
    return bool((frame[region] != image[region]).any())


def test_fifty_faces_in_a_frame(editor, monkeypatch):
    """All are edited, each keeps its number, and the networks' batches stay small."""
    sizes: list[int] = []
    session = editor.model.encoder
    run = session.run
    monkeypatch.setattr(session, "run", lambda o, i: (sizes.append(len(i["image"])), run(o, i))[1])
    frame = grey(420, 760)
    everyone = [face(60 + 70 * (i % 10), 60 + 70 * (i // 10), 20) for i in range(50)]
    video = made(editor, Staged(*everyone))
    for i in range(6):
        result = video.process(frame, i / FPS)
        assert len(result.faces) == len(result.y) == 50
        assert {each.id for each in result.faces} == {*range(50)}
    assert all(changed(frame, result.image_hwc_bgr, each) for each in everyone)
    assert max(sizes) <= MAX_BATCH and sum(sizes) == 6 * 50


@pytest.mark.parametrize("start", ["empty", "with a face"])
def test_no_face_for_long(editor, start):
    """Frames come back untouched and copied, detection stays rare, and whoever comes is edited soon."""
    frame, one = grey(120, 160), face(80, 60, 20)
    stage = Staged(one) if start == "with a face" else Staged()
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
    stage.faces = [one]
    back = [video.process(frame, (310 + i) / FPS) for i in range(30)]
    noticed = next(i for i, result in enumerate(back) if result.faces)
    assert noticed < 15 and back[-1].faces[0].weight == 1.0
    assert changed(frame, back[-1].image_hwc_bgr, one)
    # It is taken for a newcomer: two seconds are remembered.
    assert back[-1].faces[0].id == len(first[0].faces)
