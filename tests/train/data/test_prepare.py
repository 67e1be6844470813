"""`prepare` packs what a detector finds, aligned, and leaves nothing half-written."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from aif.runtime.errors import ConfigError, DataError, UnknownAttributeError
from aif.runtime.faces.detect import Detection
from aif.runtime.geometry.align import crop_face, template, transform_points
from aif.train.data.open import find_layout, open_faces
from aif.train.data.packed import LANDMARK_COLUMNS, PackedFaces
from aif.train.data.prepare import MISSING, NO_FACE, SMALL, UNREADABLE, PrepareOptions, prepare
from aif.train.data.synthetic import SyntheticFaces

FACES = SyntheticFaces(12, 128, seed=5)


class KnownFaces:
    """A detector for pictures that `photo` made: it knows where it put the faces."""

    def __init__(self):
        self.known: dict[bytes, list[Detection]] = {}

    def detect(self, frame_hwc_bgr):
        return self.known[frame_hwc_bgr.tobytes()]

    def photo(self, path, *placed):
        """A picture of 360 x 240 px with synthetic faces (number, scale, angle) beside each other."""
        picture = np.full((240, 360, 3), len(self.known), dtype=np.uint8)
        found = []
        for place, (number, scale, angle) in enumerate(placed):
            matrix = cv2.getRotationMatrix2D((64, 64), angle, scale)
            matrix[:, 2] += (30 + 170 * place, 50)
            face = cv2.cvtColor(FACES.image(number), cv2.COLOR_RGB2BGR)
            cv2.warpAffine(face, matrix, (360, 240), dst=picture, borderMode=cv2.BORDER_TRANSPARENT)
            points = transform_points(FACES.landmarks(number), matrix)
            left, top = points.min(axis=0) - 20 * scale
            side = 80 * scale
            box = np.array([left, top, side, side], dtype=np.float32)
            found.append(Detection(box, points, 0.9 - 0.1 * place))
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), picture)
        self.known[picture.tobytes()] = found


@pytest.fixture
def detector():
    return KnownFaces()


@pytest.fixture
def photos(tmp_path, detector):
    """Six listed photos: two faces, one turned, none, a tiny one, no picture, not there."""
    folder = tmp_path / "photos"
    detector.photo(folder / "two.png", (0, 0.7, 0), (1, 1.2, 10))
    detector.photo(folder / "sub" / "one.png", (2, 1.1, -25))
    detector.photo(folder / "none.png")
    detector.photo(folder / "tiny.png", (3, 0.2, 0))
    (folder / "broken.png").write_bytes(b"no picture")
    lines = [
        "file,split,identity,Smiling,Male",
        "two.png,train,7,1,-1",
        "sub/one.png,val,8,-1,1",
        "none.png,train,9,1,1",
        "tiny.png,train,9,1,1",
        "broken.png,train,9,1,1",
        "gone.png,val,9,1,1",
    ]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def likeness(a, b):
    return float(np.abs(a[24:112, 24:104].astype(int) - b[24:112, 24:104]).mean())


def test_labelled_photos(photos, detector, tmp_path):
    seen: list[tuple[int, int]] = []
    out = tmp_path / "packed"
    report = prepare(photos, None, out, detector, progress=lambda done, total: seen.append((done, total)))
    assert report.faces == {"train": 1, "val": 1} and report.photos == 6
    assert report.left_out == {
        NO_FACE: ["none.png"], SMALL: ["tiny.png"], UNREADABLE: ["broken.png"], MISSING: ["gone.png"],
    }  # fmt: skip
    assert report.attributes == ("Smiling", "Male")
    assert seen == [(i, 5) for i in range(1, 6)]
    assert find_layout(out) == "packed"
    train, val = open_faces(out, "train"), open_faces(out, "val", ["Male"])
    assert train.labels.tolist() == [[1, 0]] and val.labels.tolist() == [[1]]
    assert train.identities is not None and train.identities.tolist() == [7]
    assert (train.file_name(0), val.file_name(0)) == ("train-0.zip:two.webp", "val-0.zip:sub/one.webp")
    # The larger of the two faces, and the turned one upright again: as the drawing itself, aligned.
    for faces, number in ((train, 1), (val, 2)):
        direct = crop_face(FACES.image(number), FACES.landmarks(number), 128)
        assert likeness(faces.image(0), direct) < 6
    with (out / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, number in zip(rows, (1, 2), strict=True):  # the landmarks went through the same similarity
        points = np.array([float(row[name]) for name in LANDMARK_COLUMNS]).reshape(5, 2)
        turned = cv2.estimateAffinePartial2D(FACES.landmarks(number), points)[0]
        assert np.abs(transform_points(FACES.landmarks(number), turned) - points).max() < 0.1
        assert np.abs(points - template(128)).max() < 12


def test_unlabelled_photos_give_every_face(photos, detector, tmp_path):
    (photos / "labels.csv").unlink()
    report = prepare(photos, None, tmp_path / "packed", detector, PrepareOptions(size=64, min_face=0))
    assert sum(report.faces.values()) == 4 and report.attributes == ()
    names = []
    for split in report.faces:
        faces = PackedFaces(tmp_path / "packed", split)
        assert faces.labels.shape == (len(faces), 0)
        names += [faces.file_name(i).split(":")[1] for i in range(len(faces))]
        assert all(faces.image(i).shape == (64, 64, 3) for i in range(len(faces)))
    assert sorted(names) == ["sub/one.webp", "tiny.webp", "two-2.webp", "two.webp"]


def test_celeba_layout(detector, tmp_path):
    images = tmp_path / "in" / "img_align_celeba"
    for i in range(4):
        detector.photo(images / f"{i}.png", (i, 1.0, 0))
    with zipfile.ZipFile(tmp_path / "in" / "img_align_celeba.zip", "w") as archive:
        for i in range(4):
            archive.write(images / f"{i}.png", f"img_align_celeba/{i}.png")
            (images / f"{i}.png").unlink()
    rows = "".join(f"{i}.png {-1 if i % 2 else 1}\n" for i in range(5))
    (tmp_path / "in" / "list_attr_celeba.txt").write_text(f"5\nSmiling\n{rows}")
    (tmp_path / "in" / "list_eval_partition.txt").write_text("".join(f"{i}.png {i % 3}\n" for i in range(5)))
    report = prepare(tmp_path / "in", None, tmp_path / "out", detector)
    assert report.faces == {"train": 2, "val": 1, "test": 1} and report.left_out[MISSING] == ["4.png"]
    train = PackedFaces(tmp_path / "out", "train")
    assert train.labels.tolist() == [[1], [0]] and train.identities is None


def test_shards_and_repeatability(detector, tmp_path):
    folder = tmp_path / "in"
    for i in range(16):
        detector.photo(folder / f"{i:02d}.png", (i % 12, 0.9 + i / 200, 0))
    table = folder / "t.csv"
    table.write_text(
        "file,split,A\n" + "".join(f"{i:02d}.png,{'val' if i > 11 else 'train'},1\n" for i in range(16))
    )
    for name in ("a", "b"):
        prepare(folder, table, tmp_path / name, detector, PrepareOptions(shard_faces=4, quality=60))
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert files == ["labels.csv", "train-0.zip", "train-1.zip", "train-2.zip", "val-0.zip"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    faces = PackedFaces(tmp_path / "a", "train")
    assert len(faces) == 12 and all(faces.image(i).shape == (128, 128, 3) for i in range(12))


class Interrupted(KnownFaces):
    def __init__(self, inner, error):
        self.inner, self.error, self.left = inner, error, 1

    def detect(self, frame_hwc_bgr):
        if not self.left:
            raise self.error
        self.left -= 1
        return self.inner.detect(frame_hwc_bgr)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interruption_leaves_nothing(error, photos, detector, tmp_path):
    out = tmp_path / "packed"
    with pytest.raises(error):
        prepare(photos, None, out, Interrupted(detector, error))
    assert {p.name for p in tmp_path.iterdir()} == {"photos"}
    prepare(photos, None, out, detector)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(error):
        prepare(photos, None, out, Interrupted(detector, error), PrepareOptions(overwrite=True))
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert {p.name for p in tmp_path.iterdir()} == {"photos", "packed"}


def test_overwriting(photos, detector, tmp_path):
    out = tmp_path / "packed"
    prepare(photos, None, out, detector)
    with pytest.raises(ConfigError, match="--overwrite"):
        prepare(photos, None, out, detector)
    prepare(photos, None, out, detector, PrepareOptions(size=64, overwrite=True))
    assert PackedFaces(out, "train").image(0).shape == (64, 64, 3)
    assert {p.name for p in tmp_path.iterdir()} == {"photos", "packed"}
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        prepare(photos, None, out, detector, PrepareOptions(overwrite=True))
    for place in (photos, tmp_path, photos / "two.png"):
        with pytest.raises(ConfigError):
            prepare(photos, None, place, detector, PrepareOptions(overwrite=True))
    assert (out / "notes.txt").exists() and (photos / "two.png").exists()
    (tmp_path / "empty").mkdir()
    assert prepare(photos, None, tmp_path / "empty", detector).faces == {"train": 1, "val": 1}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"size": 8}, ConfigError, "size = 8"),
        ({"quality": 0}, ConfigError, "quality"),
        ({"shard_faces": 0}, ConfigError, "shard_faces"),
        ({"min_face": -1}, ConfigError, "min_face"),
        ({"min_face": 1000}, DataError, "No face was found in any of the 5 photos"),
        ({"attributes": ["Smilling"]}, UnknownAttributeError, "Smiling"),
        ({"source": Path("nowhere")}, DataError, "no folder"),
        ({"table": Path("nowhere.csv")}, DataError, "no label table"),
    ],
)
def test_bad_requests(change, error, message, photos, detector):
    change = dict(change)
    where = {name: change.pop(name) for name in ("source", "table") if name in change}
    with pytest.raises(error, match=message):
        places = {"source": photos, "table": None, "out": photos.parent / "out"} | where
        prepare(**places, detector=detector, options=PrepareOptions(**change))
    assert {path.name for path in photos.parent.iterdir()} == {"photos"}


def test_no_photos(detector, tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="no photos"):
        prepare(tmp_path / "in", None, tmp_path / "out", detector)
    with pytest.raises(DataError, match="no label table"):
        prepare(tmp_path / "in", None, tmp_path / "out", detector, PrepareOptions(attributes=["Smiling"]))
    (tmp_path / "in" / "l.csv").write_text("file,A\na.png,1\n")
    with pytest.raises(DataError, match="None of the 1 listed"):
        prepare(tmp_path / "in", None, tmp_path / "out", detector)
