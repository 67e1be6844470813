"""A few made-up faces with textures, crops and a fitted baseline, small enough for whole trainings."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
from made_up_face import face_picture, face_points, made_up_frame
from torch import nn

from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import similarity_transform, warp_crop
from aif.train.shape.faces.mean_shape import aligned
from aif.train.shape.faces.textures import Textures
from aif.train.shape.linear.fit import LinearConfig, fit_linear
from aif.train.shape.linear.networks import LinearDecoder, LinearEncoder

SIZE, COUNT = 64, 40
ATTRIBUTES = ("Smiling", "Mouth_Slightly_Open", "Pale_Skin")
LINEAR = LinearConfig(shape_components=5, texture_components=6)


@dataclass(frozen=True)
class Small:
    """40 faces of 64 px: some smile (wide mouths), some have open mouths, some are pale."""

    faces: Textures
    crops: np.ndarray
    linear: tuple[LinearEncoder, LinearDecoder]


@pytest.fixture(scope="session")
def small():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (COUNT, len(ATTRIBUTES))).astype(np.uint8)
    frame = made_up_frame()
    points, crops, textures = [], [], []
    for smiling, opened, pale in labels:
        face = face_points(opening=8.0 if opened else 0.2)
        mouth = face[dense.OUTER_LIP.start : dense.INNER_LIP.stop]
        mouth[:, 0] = 64 + (mouth[:, 0] - 64) * (1.15 if smiling else 0.95)
        face += rng.normal(0, 0.4, face.shape).astype(np.float32)
        picture = cv2.convertScaleAbs(face_picture(face, 128), alpha=1.1 if pale else 0.9)[..., ::-1]
        textures.append(frame.normalise(picture, face, SIZE))
        crops.append(warp_crop(picture, similarity_transform(dense.five_points(face), SIZE), SIZE))
        points.append(face)
    faces = Textures(
        np.stack(textures), aligned(np.stack(points), 128), labels, np.arange(COUNT), ATTRIBUTES, frame
    )
    return Small(faces, np.stack(crops), fit_linear(faces, LINEAR))


@pytest.fixture(scope="session")
def verdict():
    """Crops to three logits; any differentiable network will do."""
    torch.manual_seed(3)
    layers = nn.AvgPool2d(8), nn.Flatten(), nn.Linear(3 * 64, len(ATTRIBUTES))
    return nn.Sequential(*layers).requires_grad_(False)
