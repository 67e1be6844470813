"""What hides a face keeps its own look."""

from __future__ import annotations

import numpy as np
from made_up_face import face_picture, face_points, made_up_frame

from aif.runtime.editing.shape.hidden import Seen
from aif.runtime.geometry import points as dense

FRAME = made_up_frame()


def texture() -> np.ndarray:
    return face_picture(face_points(), 128)[..., ::-1].transpose(2, 0, 1).astype(np.float32) / 255


def test_a_patch_over_the_mouth_is_seen_as_such() -> None:
    reconstruction = texture()
    covered = reconstruction.copy()
    covered[:, 88:116, 44:84] = np.float32([[[0.1]], [[0.15]], [[0.5]]])
    seen = Seen.of(covered, reconstruction, FRAME)
    assert seen.texture[100, 64] < 0.05
    assert seen.at_landmarks[dense.INNER_LIP].max() < 0.3
    assert seen.at_landmarks[dense.LEFT_BROW].min() > 0.95
    assert seen.texture[60, 30] > 0.95


def test_a_face_like_its_reconstruction_is_seen_in_full_in_any_light() -> None:
    for light in (1.0, 0.6, 0.3):
        seen = Seen.of(texture() * np.float32(light), texture(), FRAME)
        assert seen.texture[40:110, 40:90].min() > 0.9, light
