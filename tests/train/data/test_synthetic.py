"""Synthetic faces: reproducible, aligned, with independent attributes and known right answers."""

import numpy as np
import pytest

from aif.runtime.errors import DataError, UnknownAttributeError
from aif.runtime.geometry.align import template
from aif.train.data.drawing import ATTRIBUTES
from aif.train.data.synthetic import VALIDATION_START, SyntheticFaces

# Where each attribute may show, in rows and columns of a 128 px crop (top, bottom, left, right).
REGIONS = {
    "Smiling": (50, 118, 24, 104),
    "Eyeglasses": (40, 84, 8, 120),
    "Blond_Hair": (0, 128, 0, 128),
    "Wearing_Hat": (0, 58, 0, 128),
    "Mouth_Slightly_Open": (86, 122, 40, 90),
    "Bangs": (14, 66, 16, 112),
    "Male": (0, 128, 0, 128),
}


def pictures(faces):
    return [faces.image(index) for index in range(len(faces))]


@pytest.mark.parametrize("size", [16, 64])
def test_pictures(size):
    faces = SyntheticFaces(12, size, seed=3)
    images = pictures(faces)
    assert all(image.shape == (size, size, 3) and image.dtype == np.uint8 for image in images)
    assert min(image.std() for image in images) > 15  # not blank
    assert np.array_equal(images, pictures(SyntheticFaces(12, size, seed=3)))
    for other in (SyntheticFaces(12, size, seed=4), SyntheticFaces(12, size, seed=3, first=VALIDATION_START)):
        assert not {image.tobytes() for image in images} & {image.tobytes() for image in pictures(other)}
    tail = SyntheticFaces(6, size, seed=3, first=4)
    assert np.array_equal(images[4:10], pictures(tail)) and np.array_equal(faces.labels[4:10], tail.labels)
    assert faces.file_name(4) == tail.file_name(0)


def test_labels_are_even_and_independent():
    labels = SyntheticFaces(20_000).labels.astype(float)
    assert labels.shape == (20_000, len(ATTRIBUTES))
    assert np.abs(labels.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(20_000)
    correlation = np.corrcoef(labels.T) - np.eye(len(ATTRIBUTES))
    assert np.abs(correlation).max() < 4 / np.sqrt(20_000)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_flip_changes_its_region_and_nothing_else(name):
    faces = SyntheticFaces(20, 128)
    top, bottom, left, right = REGIONS[name]
    for index in range(20):
        label = int(faces.labels[index, ATTRIBUTES.index(name)])
        kept, flipped = (faces.counterfactual(index, {name: v}) for v in (label, 1 - label))
        assert np.array_equal(kept, faces.image(index))
        changed = (kept != flipped).any(axis=2)
        assert changed.sum() > 40  # can be seen
        outside = changed.copy()
        outside[top:bottom, left:right] = False
        assert not outside.any(), (index, np.argwhere(outside)[:3])


@pytest.mark.parametrize("size", [64, 128])
def test_faces_are_aligned_to_the_template(size):
    faces = SyntheticFaces(100, size)
    points = np.stack([faces.landmarks(i) for i in range(100)])
    assert points.shape == (100, 5, 2) and points.dtype == np.float32
    off = np.linalg.norm(points - template(size), axis=2) / size
    assert off[:, :2].mean() < 0.03 and off.max() < 0.15
    assert np.abs(points.mean(axis=0) - template(size)).max() < 0.03 * size


def test_landmarks_lie_on_the_drawn_parts():
    faces = SyntheticFaces(15, 128)
    for index in range(15):
        plain = {"Smiling": 0, "Mouth_Slightly_Open": 0, "Eyeglasses": 0, "Bangs": 0, "Wearing_Hat": 0}
        opened = faces.counterfactual(index, plain | {"Mouth_Slightly_Open": 1})
        rows, columns = np.nonzero((faces.counterfactual(index, plain) != opened).any(axis=2))
        middle = faces.landmarks(index)[3:].mean(axis=0)
        assert abs(columns.mean() - middle[0]) < 4 and abs(rows.mean() - middle[1]) < 11
        eyes = faces.counterfactual(index, plain).astype(int).sum(axis=2)
        for x, y in faces.landmarks(index)[:2]:
            around = eyes[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7]
            assert around.min() < 120 and around.max() - around.min() > 200  # pupil beside white


def test_chosen_attributes_only_choose_columns():
    every, some = SyntheticFaces(20, 32), SyntheticFaces(20, 32, attributes=["Bangs", "Smiling"])
    assert some.attributes == ("Bangs", "Smiling")
    assert np.array_equal(some.labels, every.labels[:, [5, 0]])
    assert np.array_equal(pictures(some), pictures(every))
    assert np.array_equal(some.counterfactual(0, {"Male": 1}), every.counterfactual(0, {"Male": 1}))


def test_fingerprints():
    usual = {"count": 5, "image_size": 32}
    changes = [{}, {"count": 6}, {"image_size": 64}, {"seed": 1}, {"first": 1}, {"attributes": ["Male"]}]
    found = [SyntheticFaces(**(usual | change)).fingerprint for change in (*changes, {})]
    assert len(set(found)) == len(changes) and found[0] == found[-1]


def test_bad_requests():
    faces = SyntheticFaces(3, 32)
    with pytest.raises(UnknownAttributeError, match="Smiling"):
        faces.counterfactual(0, {"smiling": 1})
    with pytest.raises(DataError, match="0 or 1"):
        faces.counterfactual(0, {"Smiling": 2})
    for attributes in ([], ["Male", "Male"]):
        with pytest.raises(DataError, match="attribute"):
            SyntheticFaces(3, attributes=attributes)
