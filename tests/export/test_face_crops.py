"""Crops for gate and calibration: whose they are, how many, and which."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_up_face import face_picture, face_points, made_up_frame

from aif.export.graphs.crops import MOST, UnlabelledFaces, first_crops, open_crops, split_crops, spread_crops
from aif.export.graphs.faces import FaceReader
from aif.runtime.errors import DataError, ExportError
from aif.runtime.faces.landmarks import DenseFaces
from aif.train.data.synthetic import SyntheticFaces


def write(place, value, height=16, width=16):
    place.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(place), np.full((height, width, 3), value, np.uint8))


def test_every_image_of_a_folder_in_order_of_names(tmp_path):
    for number, name in enumerate(["b.png", "a/z.JPG", "a/c.webp", "deep/er/d.bmp", "e.tiff"]):
        write(tmp_path / name.replace("JPG", "jpg"), 40 * number)
    (tmp_path / "a/z.jpg").rename(tmp_path / "a/z.JPG")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    faces = UnlabelledFaces(tmp_path)
    names = [faces.file_name(i) for i in range(len(faces))]
    assert names == ["a/c.webp", "a/z.JPG", "b.png", "deep/er/d.bmp", "e.tiff"]
    assert faces.labels.shape == (5, 0) and faces.attributes == () and faces.name == tmp_path.name
    np.testing.assert_allclose(faces.image(1), 40, atol=2)


@pytest.mark.parametrize(
    ("picture", "said", "fix"),
    [
        (None, "neither data that aif trains on, nor any image", "aif prepare"),
        ("photo.png", "photo.png is 178 x 218; a face crop is square", "aif prepare"),
        ("elsewhere/photo.png", "There is no folder", ""),
    ],
)
def test_folders_that_hold_no_crops(tmp_path, picture, said, fix):
    if picture is not None:
        write(tmp_path / picture, 9, 218, 178)
    with pytest.raises(DataError, match=said) as caught:
        open_crops(tmp_path / "missing" if "/" in str(picture) else tmp_path, ["Smiling"]).image(0)
    assert fix in str(caught.value)


@pytest.mark.parametrize("place", [None, Path("synthetic")])
def test_without_data_faces_are_drawn(place):
    faces = open_crops(place, ["Smiling"], image_size=16)
    assert isinstance(faces, SyntheticFaces) and faces.attributes == ("Smiling",)


def test_labelled_data_is_opened_as_for_training(tmp_path):
    """With a table only the validation faces count, which the network has not seen."""
    rows = ["file,split,Smiling"]
    for number in range(8):
        write(tmp_path / f"{number}.png", number)
        rows.append(f"{number}.png,{'val' if number % 2 else 'train'},1")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    faces = open_crops(tmp_path, ["Smiling"])
    assert not isinstance(faces, UnlabelledFaces)
    assert [faces.file_name(i) for i in range(len(faces))] == ["1.png", "3.png", "5.png", "7.png"]


@pytest.mark.parametrize(("count", "each"), [(33, 16), (36, 18)])
def test_gate_and_calibration_share_no_face(crop_folder, tmp_path, count, each):
    for name in sorted(path for path in crop_folder.rglob("*.png"))[:count]:
        shutil.copy(name, tmp_path)
    sets = split_crops(UnlabelledFaces(tmp_path), FaceReader(16))
    assert sets.gate.images.shape == sets.calibration.images.shape == (each, 3, 16, 16)
    images = sets.gate.images
    assert images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1
    assert sets.gate.landmarks is None and set(sets.gate.feeds()) == {"image"}
    about = sets.about(sets.gate)
    assert about.faces == each and not about.synthetic
    seen = {face.tobytes() for face in (*images, *sets.calibration.images)}
    assert len(seen) == 2 * each


@pytest.mark.parametrize(("take", "count"), [(split_crops, 31), (spread_crops, 15)])
def test_too_few(take, count):
    with pytest.raises(ExportError, match=f"at least {count + 1} faces.* has {count}\\.") as caught:
        take(SyntheticFaces(count, 16), FaceReader(16))
    assert "--data" in str(caught.value)


def test_not_more_than_needed_and_from_everywhere(monkeypatch):
    """Of many faces so many are read as the two sets hold, from the first to the last."""
    asked: list[int] = []
    faces = SyntheticFaces(5_000, 16)
    draw = SyntheticFaces.image
    black = draw(faces, 0)

    def counted(self, index):
        asked.append(index)
        return black

    monkeypatch.setattr(SyntheticFaces, "image", counted)
    sets = split_crops(faces, FaceReader(16))
    assert len(sets.gate) == len(sets.calibration) == MOST
    assert len(set(asked)) == 2 * MOST
    assert (min(asked), max(asked)) == (0, 4_999)
    about = sets.about(sets.gate)
    assert about.synthetic and about.dataset_fingerprint == faces.fingerprint


def test_a_damaged_image_is_left_out(crop_folder, tmp_path):
    shutil.copytree(crop_folder, tmp_path / "crops")
    damaged = next((tmp_path / "crops" / "a").glob("*.png"))
    damaged.write_bytes(damaged.read_bytes()[:40])
    sets = split_crops(UnlabelledFaces(tmp_path / "crops"), FaceReader(16))
    assert len(sets.gate) + len(sets.calibration) == 35


class Found:
    """A finder: the made-up face in every crop, but none in crops whose first pixel is below `dark`."""

    def __init__(self, dark=60):
        self.dark = dark

    def in_crops(self, crops_nhwc_bgr):
        found = DenseFaces.none(len(crops_nhwc_bgr))
        for crop, points in zip(crops_nhwc_bgr, found.points, strict=True):
            if crop[0, 0].mean() >= self.dark:
                points[:] = face_points() * len(crop) / 128
        return found


def test_textures_and_landmarks_of_crops(crop_folder):
    """A texture is what `Frame.normalise` makes of the crop; the landmarks are in units of the side."""
    frame = made_up_frame()
    crop = cv2.resize(face_picture(face_points(2.0), 128), (64, 64))[..., ::-1].copy()
    found = FaceReader(32, frame, Found()).from_crops([crop])
    assert found.landmarks is not None and found.landmarks.shape == (1, 221, 2)
    assert 0.15 < found.landmarks.min() < 0.25 and 0.9 < found.landmarks.max() < 1.0
    wanted = frame.normalise(crop, face_points() / 2, 32).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(found.images[0], wanted, atol=1e-6)
    assert list(found.feeds()) == ["image", "landmarks"]
    assert len(found.rows(slice(0))) == 0
    assert len(FaceReader(32, frame, Found()).from_crops([])) == len(FaceReader(32).from_crops([])) == 0


@pytest.mark.parametrize("take", [split_crops, spread_crops, first_crops])
def test_crops_without_a_face_are_left_out(take, crop_folder):
    faces = UnlabelledFaces(crop_folder)
    dark = sum(faces.image(index)[0, 0].mean() < 60 for index in range(len(faces)))
    assert 0 < dark < 12, "of the crops here a few are dark"
    if take is split_crops:
        with pytest.raises(ExportError, match="Landmarks were found in"):
            take(faces, FaceReader(16, made_up_frame(), Found(120)))
        return
    found = take(faces, FaceReader(16, made_up_frame(), Found()))
    assert len(found) == (16 if take is first_crops else len(faces) - dark)
