"""Streams through a model with shape: the edit follows the face in every frame, the networks run in few."""

import numpy as np
import pytest
from made_up_face import face_picture, face_points
from staged_faces import Staged, dense

from aif.runtime import Editor, FaceTracker, LandmarkNet, VideoEditor
from aif.runtime.editing.values import decode_values
from aif.runtime.errors import ConfigError
from aif.runtime.geometry.points import five_points
from aif.runtime.video.editor import landmark_finder

FPS, SIZE, SCALE = 25, 256, 2.0
EDITS = {"Smiling": 1.0}
FACE = five_points(face_points() * SCALE)


@pytest.fixture(scope="module")
def editor(shape_bundle):
    with Editor.load(shape_bundle, "cpu", Staged(), threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def frames():
    """A face at rest; no two pictures on end are alike, as with a camera."""
    picture = face_picture(face_points(), SIZE, SCALE)
    return [picture + np.uint8(2 * (i % 2)) for i in range(12)]


def made(editor, stage, **settings):
    return VideoEditor(editor, EDITS, tracker=FaceTracker(stage, stage, fade_s=0.2), **settings)


def changed(editor, frame, points):
    """What a photo's edit would change in the face at these landmarks."""
    path, about = editor.path, editor.model.manifest
    encoded = path.encode(path.cut(frame, [path.view(points, 1.0)]))
    values = decode_values(encoded.encoding.y, editor.columns(EDITS), about.attributes)
    return path.change(encoded, *values)


def applied(editor, frame, points, changes):
    return editor.path.apply(frame, [editor.path.view(points, 1.0)], changes, "warp")


def test_a_still_picture_is_edited_as_a_photo(editor, frames):
    points = dense(FACE)
    video = made(editor, Staged(FACE))
    results = [video.process(frames[0], i / FPS) for i in range(6)]
    wanted = applied(editor, frames[0], points, changed(editor, frames[0], points))
    assert (wanted != frames[0]).any()
    for result in results:
        np.testing.assert_array_equal(result.image_hwc_bgr, wanted)
        np.testing.assert_allclose(result.faces[0].points, points, atol=1e-3)
    assert list(results[0].timings) == ["track", "align", "encode", "decode", "composite"]


@pytest.mark.parametrize(
    ("edits", "yaw", "weight"),
    [
        ({"Smiling": 1.0}, 38, 0.5),
        ({"Smiling": 1.0}, 50, 0),
        ({"Blond_Hair": 1.0}, 38, 1),
        ({"Blond_Hair": 1.0}, -53, 0.5),
        ({"Smiling": 1.0, "Blond_Hair": 1.0}, 50, 0.714),
        ({"Blond_Hair": 1.0}, 60, 0),
    ],
)
def test_faces_that_are_turned_away(editor, frames, edits, yaw, weight):
    stage = Staged(FACE, yaw=yaw)
    video = VideoEditor(editor, edits, tracker=FaceTracker(stage, stage))
    result = video.process(frames[0], 0.0)
    assert [each.weight for each in result.faces] == pytest.approx([weight], abs=1e-3)
    assert bool(result.y) == (result.image_hwc_bgr != frames[0]).any() == (weight > 0)


@pytest.mark.parametrize(("cores", "composed"), [(1, [0, 1]), (2, [])])
def test_pictures_are_made_later_where_there_is_a_core_for_it(editor, frames, monkeypatch, cores, composed):
    monkeypatch.setattr("aif.runtime.video.editor.core_count", lambda: cores)
    seen, apply = [], editor.path.apply
    monkeypatch.setattr(editor.path, "apply", lambda *given: seen.append(len(seen)) or apply(*given))
    expected = made(editor, Staged(FACE)).process(frames[0], 0).image_hwc_bgr
    seen.clear()
    video = made(editor, Staged(FACE))
    makes = [video.begin(frames[0], i / FPS) for i in range(2)]
    assert seen == composed
    for make in makes:
        np.testing.assert_array_equal(make().image_hwc_bgr, expected)


def test_the_edit_moves_with_the_face(editor, frames):
    """What was found at first sight is applied where the landmarks are now."""
    stage = Staged(FACE)
    video = made(editor, stage)
    changes = changed(editor, frames[0], dense(FACE))
    for i in range(5):
        stage.faces = [FACE + np.float32((2 * i, i))]
        frame = np.roll(frames[0], (i, 2 * i), axis=(0, 1))
        result = video.process(frame, i / FPS)
        assert bool(result.renewed) == (i == 0)
        points = result.faces[0].points
        assert points is not None and np.abs(points - dense(stage.faces[0])).max() < 1.5
        np.testing.assert_array_equal(result.image_hwc_bgr, applied(editor, frame, points, changes))


def test_five_landmarks_are_not_enough(editor, frames):
    video = VideoEditor(editor, EDITS, tracker=FaceTracker(Staged(FACE), None))
    with pytest.raises(ConfigError, match="needs dense ones"):
        video.process(frames[0], 0.0)


@pytest.mark.parametrize("kind", ["shape", "crops", "crops, no landmark network"])
def test_what_follows_the_faces(shape_bundle, make_bundle, kind):
    """The network that a model with shape has already; another model's own; none."""
    bundle = {"shape": lambda: shape_bundle, "crops": make_bundle}.get(
        kind, lambda: make_bundle(landmarks=None)
    )()
    with Editor.load(bundle, "cpu", Staged(), threads=1) as editor:
        found = landmark_finder(editor, 1)
        assert (found is editor.path.net) == (kind != "crops")
        assert isinstance(found, LandmarkNet) == (kind != "crops, no landmark network")
