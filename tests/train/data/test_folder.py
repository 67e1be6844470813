"""A folder of images with a CSV: what is accepted, and what each mistake is called."""

import logging

import cv2
import numpy as np
import pytest

from aif.runtime.errors import DataError, UnknownAttributeError
from aif.train.data.base import CorruptImageError
from aif.train.data.tables import FolderFaces, hash_split, read_csv_table


def write_image(path, height=8, width=8, value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), value, dtype=np.uint8))


def write(folder, text, name="labels.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "file,split,Smiling,Male\na.png,train,1,0\nsub/b.png,train,0,1\nc.png,val,1,1\n",
        "file,split,Smiling,Male\r\na.png,0,1,-1\r\n\r\nsub\\b.png,0,-1,1\r\nc.png,1,1,1\r\n",
        "\ufefffile;Smiling;Male;Split\na.png;1;0;train\nsub/b.png;0;1;training\nc.png;1;1;valid",
        'name\tpartition\tSmiling\tMale\n"a.png"\t0\t 1\t0\nsub/b.png\t0\t0\t1.0\nc.png\t1\t1\t1\n',
    ],
)
def test_ways_to_write_the_same_table(text, tmp_path):
    write(tmp_path, text)
    for name in ("a.png", "sub/b.png", "c.png"):
        write_image(tmp_path / name)
    train, val = FolderFaces(tmp_path, "train"), FolderFaces(tmp_path, "val", ["Male"])
    assert train.attributes == ("Smiling", "Male") and train.labels.tolist() == [[1, 0], [0, 1]]
    assert [train.file_name(i) for i in range(2)] == ["a.png", "sub/b.png"]
    assert val.labels.tolist() == [[1]] and val.file_name(0) == "c.png"
    assert train.identities is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a readable table"),
        ("file\na.png\n", "the first line must name"),
        ("file,split\na.png,train\n", "no attribute column"),
        ("a.png,1,0\nb.png,0,1\n", "the first line must name"),
        ("file,A,A\na.png,1,0\n", "a column has no name"),
        ("file,A,\na.png,1,0\n", "a column has no name"),
        ("file,A\n", "lists no images"),
        ("file,A\na.png,1\nb.png\n", "A = '' of b.png"),
        ("file,A\na.png,1\nb.png,0,1\n", "line 3, saw 3"),
        ("file,A\na.png,2\n", "A = '2' of a.png"),
        ("file,A,Note\na.png,1,nice\n", "Note = 'nice' of a.png.*\n.*--attributes"),
        ("file,A\n\na.png,1\na.png,0\n", "a.png is named twice"),
        ("file,split,A\na.png,holdout,1\n", "split 'holdout'"),
        ("file,A\n../a.png,1\n", "'../a.png'"),
        ("file,A\n/etc/a.png,1\n", "'/etc/a.png'"),
        ("file,A\nC:\\a.png,1\n", "'C:"),
        ("file,A\n,1\n", "''"),
        ("file,A\n.,1\n", "'.'"),
        ('file,A\n"a.png,1\n', "not a readable table"),
    ],
)
def test_mistakes_are_named_with_their_image(text, message, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as error:
        read_csv_table(path)
    assert "labels.csv" in error.value.message


def test_unneeded_columns_may_hold_anything(tmp_path):
    path = write(tmp_path, "file,Note,A\na.png,nice,1\n")
    assert read_csv_table(path, ["A"]).labels.tolist() == [[1]]
    with pytest.raises(UnknownAttributeError, match="Note"):
        read_csv_table(path, ["Notes"])


def test_unreadable_table(tmp_path):
    path = tmp_path / "labels.csv"
    with pytest.raises(DataError, match=r"no label table .*labels\.csv"):
        read_csv_table(path)
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"labels\.csv is not a readable table"):
        read_csv_table(path)


def test_split_by_hash_is_stable_and_keeps_people_together(tmp_path):
    names = [f"{i}.png" for i in range(2000)]
    plain = read_csv_table(write(tmp_path, "file,A\n" + "".join(f"{n},1\n" for n in names), "plain.csv"))
    assert 0.07 < plain.splits.count("val") / 2000 < 0.13
    assert plain.splits.count("train") + plain.splits.count("val") == 2000
    assert [hash_split(n) for n in ("0.png", "1.png")] == [plain.splits[0], plain.splits[1]]
    lines = "".join(f"{n},person {i // 10},1\n" for i, n in enumerate(names))
    people = read_csv_table(write(tmp_path, "file,identity,A\n" + lines, "people.csv"))
    assert people.identities is not None
    assert len(set(people.identities.tolist())) == 200
    for person in set(people.identities.tolist()):
        assert len({people.splits[i] for i in np.flatnonzero(people.identities == person)}) == 1
    assert 0.03 < people.splits.count("val") / 2000 < 0.2


def test_images(tmp_path, caplog):
    names = ["wide.png", "tall.png", "grey.png", "clear.png", "cut.jpg", "gone.png"]
    write(tmp_path, "file,split,A\n" + "".join(f"{n},train,1\n" for n in names))
    wide = np.zeros((10, 20, 3), dtype=np.uint8)
    wide[:, 5:15] = (1, 2, 3)  # BGR
    cv2.imwrite(str(tmp_path / "wide.png"), wide)
    cv2.imwrite(str(tmp_path / "tall.png"), wide.transpose(1, 0, 2))
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((10, 10), 7, dtype=np.uint8))
    cv2.imwrite(str(tmp_path / "clear.png"), np.full((10, 10, 4), 9, dtype=np.uint8))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (tmp_path / "cut.jpg").write_bytes(cv2.imencode(".jpg", noise)[1].tobytes()[:2000])
    with caplog.at_level(logging.WARNING):
        faces = FolderFaces(tmp_path, "train")
    assert "1 of 6 images" in caplog.text
    for index, colour in enumerate([(3, 2, 1), (3, 2, 1), (7, 7, 7), (9, 9, 9)]):
        image = faces.image(index)
        assert image.shape == (10, 10, 3) and (image == colour).all()
    with pytest.raises(CorruptImageError, match=r"cut\.jpg"):
        faces.image(4)
    (tmp_path / "wide.png").unlink()
    with pytest.raises(CorruptImageError, match=r"wide\.png"):
        faces.image(0)


def test_which_table(tmp_path):
    write_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="found none"):
        FolderFaces(tmp_path, "train")
    one = write(tmp_path, "file,split,A\na.png,train,1\n", "one.csv")
    assert len(FolderFaces(tmp_path, "train")) == 1
    write(tmp_path, "file,split,A\na.png,train,0\n", "two.csv")
    with pytest.raises(DataError, match=r"one\.csv, two\.csv"):
        FolderFaces(tmp_path, "train")
    assert FolderFaces(tmp_path, "train", table=one).labels.tolist() == [[1]]
    with pytest.raises(DataError, match="none of the 1 images"):
        FolderFaces(tmp_path / "elsewhere", "train", table=one)
    with pytest.raises(DataError, match="none of the 0 images of split 'val'"):
        FolderFaces(tmp_path, "val", table=one)
