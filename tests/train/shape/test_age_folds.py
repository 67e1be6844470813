"""Folds of age: what old women and old men have in common."""

from dataclasses import replace

import numpy as np
import pytest
from made_up_face import bare_skin, face_texture, made_up_frame

from aif.train.shape.faces.age_folds import LEAST, with_age_folds
from aif.train.shape.faces.known import attribute_infos
from aif.train.shape.faces.textures import Textures

# Folds of the old beside mouth and eye, and what women alone or men alone have.
FOLD, LEFT_FOLD = np.s_[80:90, 86:90], np.s_[80:90, 39:43]
OF_WOMEN, OF_MEN = np.s_[70:76, 84:92], np.s_[98:104, 86:92]
NAMES = ("Young", "Male", "Smiling", "Eyeglasses", "Goatee")


def people(each=LEAST, smiling=0, plain=0.2):
    """`each` old and young women and men; a fifth of the old have folds that are plain to see."""
    labels, images = [], []
    for old in (0, 1):
        for male in (0, 1):
            for number in range(each):
                dark = np.zeros((128, 128))
                if old:
                    dark[OF_MEN if male else OF_WOMEN] = 0.2
                    dark[FOLD] = 0.3 if number < plain * each else 0.02
                shown = face_texture().transpose(1, 2, 0) * np.exp(-dark)[:, :, None]
                images.append(np.round(shown * 255).astype(np.uint8))
                labels.append((1 - old, male, smiling, 0, 0))
    count = len(labels)
    points = np.zeros((count, 221, 2), np.float32)
    return Textures(
        np.array(images), points, np.array(labels, np.uint8), np.arange(count), NAMES, made_up_frame()
    )


def folds(faces, names=NAMES, log=lambda line: None):
    return with_age_folds(bare_skin(), faces, attribute_infos(names), 0, log).folds


def test_folds_are_those_that_plainly_old_women_and_men_have():
    found = folds(people())
    assert found.shape == (128, 128) and found.min() == 0
    # On one side in these faces, on both in the mean of them and their mirror images.
    assert 0.09 < found[FOLD].mean() < 0.16
    np.testing.assert_allclose(found[LEFT_FOLD], found[FOLD][:, ::-1], atol=1e-6)
    assert found[OF_WOMEN].max() < 0.03 and found[OF_MEN].max() < 0.03


def test_where_sex_is_not_known_all_are_one_group():
    faces = people(LEAST // 2)
    names = ("Young", "Bald", "Smiling", "Eyeglasses", "Goatee")
    found = folds(faces, names)
    assert found[FOLD].mean() > 0.05 and max(found[OF_MEN].mean(), found[OF_WOMEN].mean()) > 0.02


def test_sex_is_no_matter_of_regions():
    faces = people()
    infos = attribute_infos(NAMES, regions={"Male": ("jaw",), "Goatee": ("colour",)})
    found = with_age_folds(bare_skin(), faces, infos, 0, lambda line: None).folds
    np.testing.assert_array_equal(found, folds(faces))


def test_one_sex_alone_tells_of_no_folds():
    faces = people()
    few = faces.labels.copy()
    few[few[:, 1] > 0, 0] = 1  # no old men
    assert folds(replace(faces, labels=few)) is None


@pytest.mark.parametrize("what", ["few", "smiling", "no age"])
def test_without_such_faces_age_has_no_folds(what):
    lines = []
    faces = people(LEAST - 1 if what == "few" else LEAST, smiling=int(what == "smiling"))
    names = ("Bald", *NAMES[1:]) if what == "no age" else NAMES
    assert folds(faces, names, lines.append) is None
    assert ["age brings no folds" in line for line in lines] == ([] if what == "no age" else [True])
