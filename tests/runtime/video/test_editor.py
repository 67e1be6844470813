"""Streams of frames through the toy bundle: as steady as a still picture, as quick as a change of mind."""

import math
import threading
from typing import Any

import cv2
import numpy as np
import pytest
from staged_faces import Staged, face

from aif.runtime import Detection, Editor
from aif.runtime.errors import AifError, ConfigError, UnknownAttributeError
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.model.model import Decoded, Encoding
from aif.runtime.tracking.tracker import FaceTracker
from aif.runtime.video.editor import VideoEditor, VideoFrameResult

FPS = 25
EDITS = {"Smiling": 1.0}


ONE = face(160, 120, 26)
TWO = (face(80, 100, 26), face(220, 120, 30))


@pytest.fixture
def frame(cloudy):
    return cloudy


@pytest.fixture(scope="module")
def editor(toy_bundle):
    return Editor.load(toy_bundle, "cpu", Staged(), threads=1)


def made(editor, stage, edits=None, every=1, **settings):
    tracker = FaceTracker(stage, stage, every, fade_s=0.2)
    return VideoEditor(editor, EDITS if edits is None else edits, tracker=tracker, **settings)


def test_parts_of_a_result(editor, frame):
    before = frame.copy()
    result = made(editor, Staged(*TWO[::-1])).process(frame, 0.0)
    np.testing.assert_array_equal(frame, before)
    assert isinstance(result, VideoFrameResult)
    assert result.image_hwc_bgr.shape == frame.shape and result.image_hwc_bgr.dtype == np.uint8
    assert [each.landmarks[:, 0].mean() < 150 for each in result.faces] == [True, False]
    assert list(result.timings) == ["track", "align", "encode", "decode", "composite"]
    assert all(seconds >= 0 for seconds in result.timings.values())
    assert result.y.keys() == {each.id for each in result.faces}
    assert all(values.keys() == {"Smiling", "Blond_Hair"} for values in result.y.values())


@pytest.mark.parametrize("mode", [None, "delta", "replace"])
@pytest.mark.parametrize("edits", [{}, {"Smiling": 1.0}, {"Smiling": 2.0, "Blond_Hair": -1.0}])
@pytest.mark.parametrize("late", [False, True])
def test_a_still_picture_is_edited_as_a_photo(editor, frame, mode, edits, late):
    """From the first frame on, or, for faces that come later, once they have faded in."""
    stage = Staged() if late else Staged(*TWO)
    video = made(editor, stage, edits, mode=mode)
    results = []
    for i in range(12):
        if i == 2:
            stage.faces = [*TWO]
        results.append(video.process(frame, i / FPS))
    detections = [Detection(box_from_landmarks(each), each, 1.0) for each in stage.faces]
    expected = editor.edit(frame, edits, mode, detections=detections)
    np.testing.assert_array_equal(results[-1].image_hwc_bgr, expected.image_hwc_bgr)
    for each, other in zip(results[-1].faces, expected.faces, strict=True):
        assert results[-1].y[each.id] == pytest.approx(other.y_source, abs=1e-6)
    # While they fade in, each frame is further from the photo than the one before, and in even steps.
    strength = [float(np.abs(r.image_hwc_bgr.astype(int) - frame).sum()) for r in results]
    assert strength == sorted(strength)
    if late and strength[-1]:
        assert np.array(strength[:8]) / strength[-1] == pytest.approx(
            [0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1], abs=0.03
        )
    elif not late:
        assert strength[0] == strength[-1]


def test_profiles_are_left_alone(editor, frame):
    result = made(editor, Staged(ONE, yaw=-60)).process(frame, 0.0)
    np.testing.assert_array_equal(result.image_hwc_bgr, frame)
    assert [each.weight for each in result.faces] == [0] and result.y == {} and result.renewed == ()


@pytest.mark.parametrize(("yaw", "share"), [(30, 1), (-38, 0.5), (46, 0), (50, 0)])
@pytest.mark.parametrize("name", ["Smiling", "Blond_Hair"])
def test_faces_turned_away_are_edited_less(editor, frame, name, yaw, share):
    """Of models of whole crops the hair, too."""
    turned, straight = (
        made(editor, Staged(ONE, yaw=each), {name: 1.0}).process(frame, 0.0) for each in (yaw, 0)
    )
    assert [each.weight for each in turned.faces] == pytest.approx([share])
    less, most = (np.abs(each.image_hwc_bgr.astype(int) - frame).sum() for each in (turned, straight))
    assert most > 0 and less / most == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize(("faces", "chosen"), [("all", [1, 1]), ("largest", [0, 1]), (0, [1, 0])])
def test_choice_of_faces(editor, frame, faces, chosen):
    result = made(editor, Staged(*TWO), faces=faces).process(frame, 0.0)
    changed = (result.image_hwc_bgr != frame).any(axis=2)
    assert [each.weight for each in result.faces] == chosen
    assert [changed[:, :150].any(), changed[:, 150:].any()] == chosen


def test_edits_change_on_the_fly(editor, frame):
    stage = Staged(ONE)
    video = made(editor, stage)
    detections = stage.detect(frame)
    for i, edits in enumerate([EDITS, {"Blond_Hair": 1.0}, {}, {"Smiling": -1.0, "Blond_Hair": 2}]):
        video.set_edits(edits)
        got = video.process(frame, i / FPS).image_hwc_bgr
        np.testing.assert_array_equal(got, editor.edit(frame, edits, detections=detections).image_hwc_bgr)


@pytest.mark.parametrize(
    ("edits", "error", "says"),
    [
        ({"smiling": 1}, UnknownAttributeError, "Did you mean Smiling"),
        ({"Smiling": 2.01}, ConfigError, "Smiling takes -1 to 2"),
        ({"Smiling": math.nan}, ConfigError, "out of range"),
    ],
)
def test_impossible_edits(editor, frame, edits, error, says):
    with pytest.raises(error, match=says):
        made(editor, Staged(), edits)
    video = made(editor, Staged(ONE))
    before = video.process(frame, 0.0).image_hwc_bgr
    with pytest.raises(error, match=says):
        video.set_edits(edits)
    np.testing.assert_array_equal(video.process(frame, 0.1).image_hwc_bgr, before)


@pytest.mark.parametrize(
    "settings",
    [
        *({"mode": "poisson"}, {"faces": "first"}, {"faces": -1}, {"faces": True}, {"faces": None}),
        *({"settle_s": -1}, {"settle_s": math.nan}, {"fade_s": math.inf}),
    ],
)
def test_impossible_settings(editor, settings):
    with pytest.raises(ConfigError):
        made(editor, Staged(), **settings)


def test_y_is_averaged_over_time(editor, frame):
    """The toy encoder takes the mean red for Smiling. When the light turns red, y follows within settle_s."""
    video = made(editor, Staged(ONE), settle_s=0.5)
    red = cv2.add(frame, (0, 0, 40, 0))
    old, new = (made(editor, Staged(ONE)).process(f, 0.0).y[0]["Smiling"] for f in (frame, red))
    times = [0.0, 0.1, 0.2, 0.2, 0.9, 5.0]
    shown = [cv2.add(red, (4 * (i % 2), 0, 0, 0)) if t else frame for i, t in enumerate(times)]
    got = [video.process(each, t).y[0]["Smiling"] for each, t in zip(shown, times, strict=True)]
    assert got == pytest.approx([new + (old - new) * math.exp(-t / 0.5) for t in times], abs=1e-5)

    sharp = made(editor, Staged(ONE), settle_s=0)
    assert [sharp.process(f, t).y[0]["Smiling"] for t, f in enumerate((frame, red))] == pytest.approx(
        [old, new]
    )


@pytest.mark.parametrize("how", ["cut", "backward", "reset"])
def test_the_average_begins_anew(editor, frame, how):
    video = made(editor, Staged(ONE), settle_s=10)
    other = np.ascontiguousarray(255 - frame[::-1]) if how == "cut" else cv2.add(frame, (0, 0, 40, 0))
    video.process(frame, 1.0)
    if how == "reset":
        video.reset()
    result = video.process(other, 0.5 if how == "backward" else 1.04)
    alone = made(editor, Staged(ONE)).process(other, 0.0)
    assert [each.id for each in result.faces] == [1]
    assert result.y[1] == pytest.approx(alone.y[0])
    np.testing.assert_array_equal(result.image_hwc_bgr, alone.image_hwc_bgr)


def test_rounded_values_glide(make_bundle, frame):
    """Where the decoder wants 0 or 1, a prediction that crosses one half makes no jump."""
    dark, red = (frame * 0.5).astype(np.uint8), cv2.add(frame, (0, 0, 80, 0))
    with Editor.load(make_bundle(source_values="rounded"), "cpu", Staged(), threads=1) as editor:
        video = made(editor, Staged(ONE), settle_s=0.5)
        got = [video.process(dark if t == 0 else red, t).y[0]["Smiling"] for t in (0.0, 0.1, 9.0)]
    assert got == pytest.approx([0, 1 - math.exp(-0.2), 1], abs=1e-5)


class ColourModel:
    """A model without further tensors: z is the mean colour, and the decoder paints it all over."""

    attributes, image_size = ("Smiling", "Blond_Hair"), 32

    def __init__(self, manifest):
        self.manifest = manifest.model_copy(update={"features": ()})
        self.decoded: list[Any] = []

    def encode(self, crops, landmarks=None):
        return Encoding(crops.mean(axis=(2, 3)), np.zeros((len(crops), 2), np.float32))

    def decode_both(self, encoding, source, target):
        self.decoded.append(encoding.z)
        image = np.broadcast_to(encoding.z[:, :, None, None], (len(source), 3, 32, 32)).astype(np.float32)
        return Decoded(image), Decoded(image)


def test_z_is_averaged_for_a_moment(toy_bundle, frame):
    model = ColourModel(toy_bundle.manifest)
    video = made(Editor(model, Staged()), Staged(ONE))
    for shade, time_s in ((100, 0.0), (110, 0.05), (110, 5.0)):
        video.process(np.full_like(frame, shade), time_s)
    shades = [float(z[0, 0]) * 255 for z in model.decoded]
    assert shades == pytest.approx([100, 110 - 10 / math.e, 110], abs=1e-3)


def test_z_is_not_averaged_beside_further_tensors(editor, frame):
    """The toy encoder hands on what z lacks of this frame's crop: together they give the crop back."""
    one, other = (made(editor, Staged(ONE), {}, mode="replace", settle_s=0) for _ in range(2))
    red = cv2.add(frame, (0, 0, 20, 0))
    one.process(frame, 0.0)
    after = one.process(red, 0.001).image_hwc_bgr
    np.testing.assert_array_equal(after, other.process(red, 0.0).image_hwc_bgr)


def test_edit_frames_takes_one_frame_at_a_time(editor, frame):
    taken = []

    def frames():
        for i in range(3):
            taken.append(i)
            yield frame, i / FPS

    results = made(editor, Staged(ONE)).edit_frames(frames())
    assert taken == []
    assert next(results).faces[0].age == 0 and taken == [0]
    assert [result.faces[0].age for result in results] == pytest.approx([1 / FPS, 2 / FPS])
    assert list(made(editor, Staged()).edit_frames([])) == []


def test_closing(toy_bundle, frame):
    with Editor.load(toy_bundle, "cpu", Staged(ONE), threads=1) as editor:
        with made(editor, Staged(ONE)) as video:
            video.process(frame, 0.0)
        video.close()
        with pytest.raises(AifError, match="video editor has been closed"):
            video.process(frame, 0.1)
        video.reset()
        assert editor.edit(frame, EDITS).faces  # the editor is the caller's
        other = made(editor, Staged(ONE))
    with pytest.raises(AifError, match="editor has been closed"):
        other.process(frame, 0.0)
    with pytest.raises(AifError, match="editor has been closed"):
        VideoEditor(editor, {})


def test_several_threads(editor, frame):
    """Edits may change while frames are edited: each frame shows the one or the other, whole."""
    stage = Staged(ONE)
    video, detections = made(editor, stage), stage.detect(frame)
    both = [{"Smiling": 1.0}, {"Blond_Hair": 1.0}]
    allowed = {editor.edit(frame, edits, detections=detections).image_hwc_bgr.tobytes() for edits in both}
    done, seen = threading.Event(), set()

    def change():
        while not done.wait(0.001):
            for edits in both:
                video.set_edits(edits)

    thread = threading.Thread(target=change)
    thread.start()
    for i in range(20):
        seen.add(video.process(frame, i / FPS).image_hwc_bgr.tobytes())
    done.set()
    thread.join()
    assert seen <= allowed


@pytest.mark.parametrize("with_net", [True, False])
def test_the_tracker_is_made_from_the_bundle(make_bundle, frame, with_net, tmp_path):
    """The toy landmark network follows red; with no network in the bundle the detector runs each frame."""
    bundle = make_bundle() if with_net else make_bundle(landmarks=None)
    blue = np.zeros((240, 320, 3), np.uint8)
    blue[...] = (120, 90, 0)
    stage, calls = Staged(ONE), []
    cv2.circle(blue, (160, 120), 12, (20, 20, 220), -1)
    detect = stage.detect
    stage.detect = lambda frame: (calls.append(1), detect(frame))[1]
    with Editor.load(bundle, "cpu", stage, threads=1) as editor, VideoEditor(editor, EDITS, every=3) as video:
        results = [video.process(blue, i / FPS) for i in range(7)]
    assert len(calls) == (3 if with_net else 7)
    assert all([each.id for each in result.faces] == [0] for result in results)
    assert all((result.image_hwc_bgr != blue).any() for result in results)
