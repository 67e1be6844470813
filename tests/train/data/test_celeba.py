"""CelebA's official layout, in each of the ways it lies about on disks."""

import logging
import shutil
import zipfile

import cv2
import numpy as np
import pytest

from aif.runtime.errors import DataError, UnknownAttributeError
from aif.runtime.geometry.align import template
from aif.train.data.base import CorruptImageError
from aif.train.data.celeba import LANDMARKS, CelebAFaces, read_celeba_table

NAMES = [f"{i:06d}.jpg" for i in range(1, 7)]


def dots():
    """A black 178 x 218 image with white dots where CelebA's landmarks lie."""
    columns, rows = np.meshgrid(np.arange(178), np.arange(218))
    image = sum(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8) for x, y in LANDMARKS)
    return np.repeat((255 * np.clip(image, 0, 1)).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.fixture
def celeba(tmp_path):
    folder = tmp_path / "img_align_celeba"
    folder.mkdir()
    for i, name in enumerate(NAMES):
        image = dots()
        image[:5, :, i % 3] = 40 * i
        cv2.imwrite(str(folder / name), image)
    lines = [f"{n} {1 if i % 2 else -1:2d} {1 if i > 3 else -1:2d}  1" for i, n in enumerate(NAMES)]
    (tmp_path / "list_attr_celeba.txt").write_text("6\nSmiling Male Young \n" + "\n".join(lines) + "\n")
    splits = "".join(f"{n} {s}\n" for n, s in zip(NAMES, (0, 0, 0, 1, 2, 0), strict=True))
    (tmp_path / "list_eval_partition.txt").write_text(splits)
    (tmp_path / "identity_CelebA.txt").write_text(
        "".join(f"{n} {10 + i // 2}\n" for i, n in enumerate(NAMES))
    )
    return tmp_path


def test_labels_and_splits(celeba):
    train = CelebAFaces(celeba, "train", ["Male", "Smiling"])
    assert [train.file_name(i) for i in range(4)] == [NAMES[i] for i in (0, 1, 2, 5)]
    assert train.attributes == ("Male", "Smiling")
    assert train.labels.tolist() == [[0, 0], [0, 1], [0, 0], [1, 1]]
    assert train.identities is not None and train.identities.tolist() == [10, 10, 11, 12]
    for split, name in (("val", NAMES[3]), ("test", NAMES[4])):
        other = CelebAFaces(celeba, split)
        assert len(other) == 1 and other.file_name(0) == name
        assert other.attributes == ("Smiling", "Male", "Young")


def test_template_crop_puts_landmarks_on_the_template(celeba):
    image = CelebAFaces(celeba, "train").image(0)
    assert image.shape == (128, 128, 3) and image.dtype == np.uint8
    rows, columns = np.mgrid[:128, :128]
    for x, y in template(128):
        near = (np.abs(columns - x) <= 8) & (np.abs(rows - y) <= 8)
        weight = image[:, :, 0] * near
        centre = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        assert np.abs(centre - (x, y)).max() < 2.5


def test_authors_crop_is_the_middle_square(celeba):
    image = CelebAFaces(celeba, "train", crop="authors").image(1)
    whole = cv2.cvtColor(cv2.imread(str(celeba / "img_align_celeba" / NAMES[1])), cv2.COLOR_BGR2RGB)
    assert np.array_equal(image, whole[20:198])


def zipped(root):
    with zipfile.ZipFile(root / "img_align_celeba.zip", "w") as archive:
        for name in NAMES:
            archive.write(root / "img_align_celeba" / name, f"img_align_celeba/{name}")
    shutil.rmtree(root / "img_align_celeba")


def as_downloaded(root):
    zipped(root)
    for folder, names in (
        ("Img", ["img_align_celeba.zip"]),
        ("Eval", ["list_eval_partition.txt"]),
        ("Anno", ["list_attr_celeba.txt", "identity_CelebA.txt"]),
    ):
        (root / folder).mkdir()
        for name in names:
            (root / name).rename(root / folder / name)


def unpacked_twice(root):
    (root / "img_align_celeba").rename(root / "inner")
    (root / "img_align_celeba").mkdir()
    (root / "inner").rename(root / "img_align_celeba" / "img_align_celeba")


@pytest.mark.parametrize("rearrange", [zipped, as_downloaded, unpacked_twice])
def test_other_places(celeba, rearrange):
    plain = CelebAFaces(celeba, "train")
    images = [plain.image(i) for i in range(4)]
    rearrange(celeba)
    moved = CelebAFaces(celeba, "train")
    assert moved.fingerprint == plain.fingerprint
    assert all(np.array_equal(moved.image(i), images[i]) for i in range(4))


def test_missing_images_are_counted(celeba, caplog):
    for name in (NAMES[0], NAMES[5], NAMES[3]):
        (celeba / "img_align_celeba" / name).unlink()
    (celeba / "img_align_celeba" / "unlisted.jpg").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        faces = CelebAFaces(celeba, "train")
    assert len(faces) == 2 and "2 of 4 images" in caplog.text
    with pytest.raises(DataError, match="none of the 1 images of split 'val'"):
        CelebAFaces(celeba, "val")


def test_without_optional_files(celeba):
    (celeba / "identity_CelebA.txt").unlink()
    assert CelebAFaces(celeba, "train").identities is None
    (celeba / "list_eval_partition.txt").unlink()
    assert set(read_celeba_table(celeba).splits) <= {"train", "val"}


def test_images_of_another_size_or_damaged(celeba):
    folder = celeba / "img_align_celeba"
    cv2.imwrite(str(folder / NAMES[0]), np.zeros((218, 170, 3), dtype=np.uint8))
    (folder / NAMES[1]).write_bytes((folder / NAMES[1]).read_bytes()[:500])
    faces = CelebAFaces(celeba, "train")
    (folder / NAMES[2]).unlink()
    for index, message in ((0, "170 x 218 px, not 178 x 218"), (1, NAMES[1]), (2, NAMES[2])):
        with pytest.raises(CorruptImageError, match=message):
            faces.image(index)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("list_attr_celeba.txt", "", "line 1 must be"),
        ("list_attr_celeba.txt", "Smiling Male\n000001.jpg 1 1\n", "line 1 must be"),
        ("list_attr_celeba.txt", "0\nSmiling\n", "lists no images"),
        ("list_attr_celeba.txt", "2\nSmiling\n000001.jpg 1\n000002.jpg 1 1\n", "line 4, saw 3"),
        ("list_attr_celeba.txt", "1\nSmiling\n000001.jpg 3\n", "Smiling = '3' of 000001.jpg"),
        ("list_attr_celeba.txt", "1\nSmiling\n../000001.jpg 1\n", "'../000001.jpg'"),
        ("list_attr_celeba.txt", "2\nSmiling\na.jpg 1\na.jpg 1\n", "a.jpg is named twice"),
        ("list_eval_partition.txt", "000001.jpg 7\n", "split '7'"),
        ("list_eval_partition.txt", "000001.jpg\n", "only one value"),
    ],
)
def test_malformed_lists(celeba, file, text, message):
    (celeba / file).write_text(text)
    with pytest.raises(DataError, match=message):
        CelebAFaces(celeba, "train")


def test_nothing_there(celeba):
    with pytest.raises(UnknownAttributeError, match="Smiling"):
        CelebAFaces(celeba, "train", ["smiling"])
    shutil.rmtree(celeba / "img_align_celeba")
    with pytest.raises(DataError, match=r"img_align_celeba\.zip"):
        CelebAFaces(celeba, "train")
    (celeba / "img_align_celeba.zip").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match="no whole zip"):
        CelebAFaces(celeba, "train")
    (celeba / "list_attr_celeba.txt").unlink()
    with pytest.raises(DataError, match="no list_attr_celeba"):
        read_celeba_table(celeba)
