"""Packed faces: what is written comes back, and damage is named."""

import logging
import pickle
import zipfile

import cv2
import numpy as np
import pytest

from aif.runtime.errors import DataError
from aif.train.data.base import CorruptImageError, decode_rgb
from aif.train.data.packed import LANDMARK_COLUMNS, PackedFaces

HEADER = ["file", "shard", "split", "identity", *LANDMARK_COLUMNS, "Smiling", "Male"]


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def row(number, shard, split):
    points = [str(number + i / 2) for i in range(10)]
    return [f"{number}.png", shard, split, str(100 + number), *points, str(number % 2), str(number // 2 % 2)]


def write(folder, rows, header=HEADER):
    (folder / "labels.csv").write_text(
        "\n".join(",".join(r) for r in [header, *rows]) + "\n", encoding="utf-8"
    )
    return folder


@pytest.fixture
def packed(tmp_path):
    for shard, numbers in (("train-0.zip", (0, 1)), ("train-1.zip", (2, 3)), ("val-0.zip", (4,))):
        with zipfile.ZipFile(tmp_path / shard, "w") as archive:
            for number in numbers:
                bgr = cv2.cvtColor(picture(number), cv2.COLOR_RGB2BGR)
                archive.writestr(f"{number}.png", cv2.imencode(".png", bgr)[1].tobytes())
    rows = [row(n, f"train-{n // 2}.zip", "train") for n in range(4)] + [row(4, "val-0.zip", "val")]
    return write(tmp_path, rows)


def test_reads_pixels_labels_identities(packed):
    faces = PackedFaces(packed, "train")
    assert faces.attributes == ("Smiling", "Male") and len(faces) == 4
    assert faces.labels.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]] and faces.labels.dtype == np.uint8
    assert faces.identities is not None and faces.identities.tolist() == [100, 101, 102, 103]
    for copy in (faces, pickle.loads(pickle.dumps(faces))):
        for index in range(4):
            assert np.array_equal(copy.image(index), picture(index))
    assert faces.file_name(3) == "train-1.zip:3.png"
    chosen = PackedFaces(packed, "val", ["Male", "Smiling"])
    assert chosen.labels.tolist() == [[0, 0]] and np.array_equal(chosen.image(0), picture(4))
    assert len({faces.fingerprint, chosen.fingerprint, PackedFaces(packed, "train").fingerprint}) == 2


def test_missing_shards_are_counted(packed, caplog):
    (packed / "train-0.zip").unlink()
    with caplog.at_level(logging.WARNING):
        faces = PackedFaces(packed, "train")
    assert len(faces) == 2 and "2 of 4 images" in caplog.text
    assert np.array_equal(faces.image(0), picture(2))
    (packed / "train-1.zip").unlink()
    with pytest.raises(DataError, match="none of the 4 images"):
        PackedFaces(packed, "train")


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "file gone", "shard gone"])
def test_damaged_shards(packed, damage):
    shard = packed / "train-0.zip"
    faces = PackedFaces(packed, "train")
    data = shard.read_bytes()
    if damage == "empty":
        shard.write_bytes(b"")
    elif damage == "cut":
        shard.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        shard.write_bytes(data[:60] + bytes(255 - b for b in data[60:400]) + data[400:])
    elif damage == "file gone":
        with zipfile.ZipFile(shard, "w") as archive:
            archive.writestr("other.png", b"")
    else:
        shard.unlink()
    with pytest.raises(CorruptImageError, match=r"train-0\.zip:0\.png"):
        faces.image(0)
    assert np.array_equal(faces.image(2), picture(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": []}, "lists no images"),
        ({"rows": [row(0, "train-0.zip", "val")]}, "none of the 0 images of split"),
        ({"rows": [row(0, "../train-0.zip", "train")]}, "not a file name"),
        ({"rows": [row(0, "sub/train-0.zip", "train")]}, "not a file name"),
        ({"rows": [row(0, "train-0.zip", "train"), ["x"]]}, "not a file name"),
        ({"rows": [[*row(0, "train-0.zip", "train")[:-1], "2"]]}, "Male = '2' of train-0.zip:0.png"),
        ({"rows": [[*row(0, "train-0.zip", "train")[:-1], ""]]}, "Male = ''"),
        ({"rows": [], "header": ["file", "Smiling"]}, "no column shard, split"),
    ],
)
def test_malformed_tables(packed, change, message):
    write(packed, **change)
    with pytest.raises(DataError, match=message):
        PackedFaces(packed, "train")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_cut_images_are_corrupt(suffix):
    data = cv2.imencode(suffix, picture(0).repeat(8, axis=0).repeat(8, axis=1))[1].tobytes()
    assert decode_rgb(data, "whole").shape == (128, 128, 3)
    for part in (data[: len(data) * 2 // 3], data[:20], b"", b"no image"):
        with pytest.raises(CorruptImageError, match="cut"):
            decode_rgb(part, "cut")
