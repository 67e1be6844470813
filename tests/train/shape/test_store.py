"""Batches of faces: mirrored pictures keep their landmarks, and what is folded away does not count."""

from dataclasses import replace

import numpy as np
import torch

from aif.runtime.geometry import points as dense
from aif.train.shape.faces.store import FaceStore, mirrored, mirrored_points


def test_mirrored_landmarks_lie_where_the_mirrored_picture_has_them():
    size = 32
    points = torch.full((1, dense.COUNT, 2), 0.5)
    points[0, 36] = torch.tensor([10 / size, 20 / size])
    image = torch.zeros(1, 3, size, size)
    image[0, :, 20, 10] = 1
    x, y = (mirrored_points(points)[0, dense.MIRROR[36]] * size).tolist()
    assert mirrored(image)[0, 0, round(y), round(x)] == 1
    assert torch.allclose(mirrored_points(mirrored_points(points)), points)


def test_batches_hold_what_was_asked_for(small):
    store = FaceStore(small.faces, small.crops, torch.device("cpu"))
    rows = torch.tensor([3, 5])
    faces = store.batch(rows)
    assert torch.equal(
        (faces.texture * 255).round().to(torch.uint8)[1].permute(1, 2, 0),
        torch.from_numpy(small.faces.images[5]),
    )
    assert torch.equal(
        (faces.crop * 255).round().to(torch.uint8)[0].permute(1, 2, 0), torch.from_numpy(small.crops[3])
    )
    assert faces.weight.mean() > 0.95
    bright = store.batch(rows, torch.tensor([True, False]), torch.full((2, 1, 1, 1), 2.0))
    assert bright.crop.max() <= 1
    assert torch.allclose(bright.points[1], faces.points[1])
    assert not torch.allclose(bright.points[0], faces.points[0])


def test_what_is_folded_away_does_not_count(small):
    """The left half of a face pressed together towards the middle, as when it is turned away."""
    points = small.faces.points.copy()
    middle = points[:, :, :1].mean(axis=1, keepdims=True)
    points[:, :, :1] = np.where(
        points[:, :, :1] < middle, middle + 0.03 * (points[:, :, :1] - middle), points[:, :, :1]
    )
    store = FaceStore(replace(small.faces, points=points), small.crops, torch.device("cpu"))
    weight, size = store.batch(torch.tensor([0])).weight[0, 0], small.faces.size
    assert weight[size // 2, size // 3] == 0 and weight[size // 2, size * 2 // 3] == 1
