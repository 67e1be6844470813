"""What hides a face keeps its own look."""

import numpy as np
import pytest
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.editing.shape.region import Seen, hidden_parts, visible
from aif.runtime.geometry import points as dense

FRAME = made_up_frame()


def texture():
    return face_picture(face_points(), 128)[..., ::-1].transpose(2, 0, 1).astype(np.float32) / 255


def test_a_patch_over_the_mouth_is_seen_as_such():
    reconstruction = texture()
    covered = reconstruction.copy()
    covered[:, 88:116, 44:84] = np.float32([[[0.1]], [[0.15]], [[0.5]]])
    seen = Seen.of(covered, reconstruction, FRAME)
    assert seen.texture[100, 64] < 0.05
    assert seen.at_landmarks[dense.INNER_LIP].max() < 0.3
    assert seen.at_landmarks[dense.LEFT_BROW].min() > 0.95
    assert seen.texture[60, 30] > 0.95


def test_a_face_like_its_reconstruction_is_seen_in_full_in_any_light():
    for light in (1.0, 0.6, 0.3):
        seen = Seen.of(texture() * np.float32(light), texture(), FRAME)
        assert seen.texture[40:110, 40:90].min() > 0.9, light


@pytest.mark.parametrize(
    ("covered", "shift", "hidden"),
    [
        (None, (100, 100), ()),
        (dense.NOSE, (100, 100), ()),
        (dense.OUTER_LIP, (100, 100), ("mouth",)),
        (dense.RIGHT_EYE, (100, 100), ("right eye",)),
        (slice(0, dense.COUNT), (100, 100), ("mouth", "left eye", "right eye")),
        # What lies beyond the photo's edge is hidden, too: half of the mouth, all of one eye.
        (None, (-64, 100), ("mouth", "left eye")),
        (None, (100, 202), ("mouth",)),
        (None, (500, 0), ("mouth", "left eye", "right eye")),
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_hidden_parts_keep_their_look(covered, shift, hidden, told):
    points = (face_points() + np.array(shift)).astype(np.float32)
    seen = None
    if told:
        seen = np.full(dense.COUNT, 0.97, dtype=np.float32)
        if covered is not None:
            seen[covered] = 0.1
    elif covered is not None:
        hidden = ()  # nothing says so
    parts = visible(FRAME, points, seen, (300, 300, 3))
    assert hidden_parts(parts) == hidden
    share = np.prod([*parts.values()], axis=0)
    if covered is None and not hidden:
        assert (share == 1).all()
    texture = FRAME.spread(share, 64)
    for name, ring in (("mouth", dense.INNER_LIP), ("left eye", dense.LEFT_EYE)):
        x, y = (64 * FRAME.mean[ring].mean(axis=0)).astype(int)
        assert (share[ring].max() < 0.01) == (texture[y, x] < 0.1) == (name in hidden)
    np.testing.assert_array_equal(texture[0], 1)
