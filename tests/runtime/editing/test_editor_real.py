"""The embedded bundle on a real face: what every edit has to keep to, whatever the model has learnt."""

import dataclasses
from itertools import pairwise

import cv2
import numpy as np
import pytest
from staged_faces import Nobody

from aif.runtime import Detection, Editor
from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE
from aif.runtime.editing.shape.expressions import natural
from aif.runtime.editing.shape.gain import AGED
from aif.runtime.editing.shape.warp import FacePlace
from aif.runtime.errors import NoFaceError
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry import points as dense

pytestmark = pytest.mark.skipif(not EMBEDDED_BUNDLE.exists(), reason="the embedded bundle is not here")

FIVE = np.array([[203, 101], [247, 104], [225, 126], [199, 139], [246, 142]], np.float32)
HOPPER = np.array([[221, 193], [309, 187], [268, 237], [235, 278], [302, 273]], np.float32)
HEAD = np.s_[10:240, 120:330]


@pytest.fixture(scope="module")
def editor():
    with Editor.load(None, "cpu", Nobody(), threads=1) as editor:
        yield editor


def face_at(five):
    return [Detection(box_from_landmarks(five), five, 0.9)]


def edited(editor, frame, edits, five=FIVE):
    return editor.edit(frame, edits, detections=face_at(five)).image_hwc_bgr


def difference(one, two):
    """Mean absolute difference about the head, in levels."""
    return float(np.abs(one[HEAD].astype(int) - two[HEAD]).mean())


def offered(editor, *names):
    if not set(names) <= set(editor.attributes):
        pytest.skip(f"the embedded bundle does not offer {', '.join(names)}")


@pytest.mark.parametrize("name", ["Smiling", "Bushy_Eyebrows", "Heavy_Makeup", "Blond_Hair"])
def test_a_sweep_is_smooth(editor, astronaut_bgr, name):
    """No step of nine is much larger than the others: nothing jumps in between."""
    offered(editor, name)
    shown = [edited(editor, astronaut_bgr, {name: float(value)}) for value in np.linspace(0, 1, 9)]
    steps = [difference(one, two) for one, two in pairwise(shown)]
    assert min(steps) > 0 and max(steps) < 3 * np.median(steps)


@pytest.mark.parametrize(("name", "value"), [("Smiling", 0.0), ("Smiling", 2.0), ("Male", 1.0)])
def test_nothing_changes_outside_the_face_s_ring(editor, astronaut_bgr, name, value):
    offered(editor, name)
    result = editor.edit(astronaut_bgr, {name: value}, detections=face_at(FIVE))
    points = result.faces[0].points
    assert points is not None
    left, top, right, bottom = FacePlace.of(editor.path.frame, points, astronaut_bgr.shape).box
    changed = (result.image_hwc_bgr != astronaut_bgr).any(axis=2)
    assert changed[top:bottom, left:right].mean() > 0.1
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_several_edits_at_once(editor, astronaut_bgr):
    """In any order the same, and much like one after the other."""
    offered(editor, "Smiling", "Blond_Hair")
    once = edited(editor, astronaut_bgr, {"Smiling": 0.0, "Blond_Hair": 1.0})
    np.testing.assert_array_equal(once, edited(editor, astronaut_bgr, {"Blond_Hair": 1.0, "Smiling": 0.0}))
    smile = edited(editor, astronaut_bgr, {"Smiling": 0.0})
    both = edited(editor, smile, {"Blond_Hair": 1.0})
    assert difference(once, both) < 0.4 * difference(once, astronaut_bgr)
    assert difference(once, both) < difference(once, smile)


def changes(editor, frame, edits):
    """What the path would do to the face of a frame, before it is applied, and its landmarks."""
    (view,) = editor.path.look(frame, face_at(FIVE))
    encoded = editor.path.encode(editor.path.cut(frame, [view]))
    source = target = encoded.encoding.y
    target = source.copy()
    for name, value in edits.items():
        target[:, editor.attributes.index(name)] = value
    return editor.path.change(encoded, source, target)[0].edit, encoded.inputs.landmarks[0]


def test_a_smile_that_goes_leaves_a_mouth_like_peoples(editor, astronaut_bgr):
    offered(editor, "Smiling")
    edit, points = changes(editor, astronaut_bgr, {"Smiling": -1.0})
    assert natural(points, edit.moves) == pytest.approx(edit.moves, abs=2e-3)
    monkeyed = edit.moves.copy()
    monkeyed[dense.LEFT_MOUTH, 0] += 0.05
    assert np.abs(natural(points, monkeyed) - monkeyed).max() > 0.01  # it would be noticed


def test_age_leaves_no_bruises(editor, astronaut_bgr, monkeypatch):
    offered(editor, "Young")
    monkeypatch.setattr(editor.path, "baring", dataclasses.replace(editor.path.baring, skin=None))
    edit, _ = changes(editor, astronaut_bgr, {"Young": -1.0})
    assert -AGED <= edit.gain.mean(axis=2).min() < -0.8 * AGED


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_that_was_turned_is_edited_like_the_upright_one(editor, astronaut_bgr, quarters):
    offered(editor, "Smiling")
    five = FIVE
    for _ in range(quarters):  # counter-clockwise, as numpy turns a picture
        five = np.stack([five[:, 1], len(astronaut_bgr) - 1 - five[:, 0]], axis=1)
    turned = np.ascontiguousarray(np.rot90(astronaut_bgr, quarters))
    result = np.rot90(edited(editor, turned, {"Smiling": 0.0}, five), -quarters)
    upright = edited(editor, astronaut_bgr, {"Smiling": 0.0})
    assert difference(upright, result) < 0.35 * difference(upright, astronaut_bgr)


@pytest.mark.parametrize("edits", [{"Smiling": 0.0}, {"Heavy_Makeup": 1.0}, {"Blond_Hair": 1.0}])
@pytest.mark.parametrize("tint", [0, 1])
def test_a_grey_photo_stays_grey(editor, astronaut_bgr, edits, tint):
    offered(editor, *edits)
    grey = np.repeat(cv2.cvtColor(astronaut_bgr, cv2.COLOR_BGR2GRAY)[:, :, None], 3, axis=2).clip(0, 254)
    grey[:, :, 0] += np.uint8(tint)
    result = edited(editor, grey, edits)
    spread = result.max(axis=2).astype(int) - result.min(axis=2)
    assert difference(result, grey) > 0.1 and spread.max() <= 4 + tint


@pytest.mark.parametrize(
    ("name", "share"), [("Smiling", 1.0), ("Male", 0.85), ("Black_Hair", 0.95), ("Young", 0.9)]
)
def test_an_edit_that_is_taken_back(editor, astronaut_bgr, name, share):
    """Back to the value that was seen, with what it took along: nearer to the photo than the edit is. Smiles
    that come are fuller than those that went; of hair the encoder sees no more than its edge, and this
    fringe stays fair; youth brings no shade back."""
    offered(editor, name)
    (seen,) = editor.analyse(astronaut_bgr, detections=face_at(FIVE))
    there = edited(editor, astronaut_bgr, {name: float(seen.y[name] < 0.5)})
    (info,) = (each for each in editor.model.manifest.attributes if each.name == name)
    back = edited(
        editor, there, {each: min(max(seen.y[each], 0.0), 1.0) for each in (name, *info.takes_along)}
    )
    assert difference(back, astronaut_bgr) < share * difference(there, astronaut_bgr)


def test_make_up_reddens_lips_and_grows_no_beard(editor, astronaut_bgr):
    offered(editor, "Heavy_Makeup")
    shown = [edited(editor, astronaut_bgr, {"Heavy_Makeup": value}) for value in (0.0, 1.0, 2.0)]
    lip, above = np.s_[148:152, 212:232], np.s_[133:137, 216:230]
    redness = [float((image[lip][..., 2] - image[lip].mean(axis=2)).mean()) for image in shown]
    assert redness[0] + 3 < redness[1] < redness[2] - 3
    assert shown[0][above].mean() > 0.97 * astronaut_bgr[above].mean()


@pytest.mark.parametrize("level", [0, 120, 255])
def test_where_there_is_no_face_none_is_edited(editor, level):
    with pytest.raises(NoFaceError, match="took for a face is none") as caught:
        edited(editor, np.full((512, 512, 3), level, np.uint8), {"Smiling": 1.0})
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("colour", [(90, 90, 90), (150, 180, 225), (30, 60, 200)])
def test_a_patch_over_the_mouth_stays_as_it_is(editor, astronaut_bgr, colour):
    frame = astronaut_bgr.copy()
    patch = np.s_[128:158, 192:256]
    frame[patch] = colour
    result = editor.edit(frame, {"Smiling": 0.0, "Goatee": 1.0}, detections=face_at(FIVE))
    assert result.faces[0].hidden == ("mouth",)
    assert np.abs(result.image_hwc_bgr[patch].astype(int) - frame[patch])[6:-6, 6:-6].max() <= 8
    assert editor.edit(frame, {"Gray_Hair": 1.0}, detections=face_at(FIVE)).faces[0].hidden == ()
    whole = editor.edit(astronaut_bgr, {"Smiling": 0.0}, detections=face_at(FIVE))
    assert whole.faces[0].hidden == ()


def test_hair_that_a_cap_hides_is_said_not_to_be_coloured(editor):
    cbook = pytest.importorskip("matplotlib.cbook")
    hopper = cv2.imread(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    result = editor.edit(hopper, {"Blond_Hair": 1.0}, detections=face_at(HOPPER))
    assert result.faces[0].hidden == ("hair",) and np.array_equal(result.image_hwc_bgr, hopper)
    assert editor.edit(hopper, {"Smiling": 1.0}, detections=face_at(HOPPER)).faces[0].hidden == ()


def test_a_moustache_beside_a_smile_that_goes_is_no_beard(editor, astronaut_bgr):
    offered(editor, "Smiling", "Mustache", "Bushy_Eyebrows")
    chin, lip = np.s_[160:175, 210:240], np.s_[130:137, 212:236]
    grave = edited(editor, astronaut_bgr, {"Smiling": 0.0})
    for name in ("Mustache", "Bushy_Eyebrows"):
        both = edited(editor, astronaut_bgr, {"Smiling": 0.0, name: 1.0}).astype(int)
        assert np.abs(both[chin] - grave[chin]).mean() < 2
        assert (np.abs(both[lip] - grave[lip]).mean() > 10) == (name == "Mustache")
