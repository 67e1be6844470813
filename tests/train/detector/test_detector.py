"""The face detector: where the faces of its samples are, that it learns, and what the runtime gets."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
import torch
from made_up_face import face_points
from staged_faces import face

from aif.runtime.errors import CheckpointError, DataError
from aif.runtime.faces.detection import Detection
from aif.runtime.faces.detectors.own import ProposalNet
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.train.data.dense import DenseLandmarks
from aif.train.data.synthetic import SyntheticFaces
from aif.train.detector import data, scenes
from aif.train.detector.data import STRIDE, DetectorBatch, DetectorSamples, Sources, targets
from aif.train.detector.network import (
    DetectorConfig,
    DetectorNet,
    detector_loss,
    export_detector,
    load_detector,
    train_detector,
)
from aif.train.detector.scenes import NO_FACES, Scene, aligned_faces, face_of, pictures_with, pictures_without

TINY = DetectorConfig(
    image_size=64,
    widths=(4, 8, 8, 8, 8),
    depths=(1, 1, 1),
    fused=8,
    samples=320,
    batch_size=4,
    learning_rate=1e-2,
    ema=0.9,
)


def marked(size=128):
    """A grey square with a face that is a white dot at its centre and a red one towards its forehead."""
    image = np.full((size, size, 3), 90, dtype=np.uint8)
    cv2.circle(image, (size // 2, size // 2), size // 12, (255, 255, 255), -1)
    cv2.circle(image, (size // 2, size // 4), size // 12, (255, 0, 0), -1)
    return Scene(image, np.array([[size / 2, size / 2, 0.75 * size, 0]], dtype=np.float32))


@pytest.fixture
def plain(monkeypatch):
    """Marked faces before black, without faults of photos."""
    monkeypatch.setattr(data, "degrade", lambda image, rng: image)
    monkeypatch.setattr(data, "occlude", lambda image, points, rng: (image, None))
    return Sources([marked()], [], [np.zeros((200, 300, 3), np.uint8)])


def test_faces_are_where_samples_say(plain, monkeypatch):
    monkeypatch.setattr(data, "_ground", lambda images, size, rng: np.zeros((size, size, 3), np.uint8))
    monkeypatch.setattr(data, "SMALLEST", 40.0)
    samples, seen = DetectorSamples(plain, 320, 4, seed=1), 0
    for number in range(40):
        scene = samples.sample(number)
        for x, y, side, turn in scene.faces.tolist():
            forehead = (x + math.sin(turn) * side / 3, y - math.cos(turn) * side / 3)
            if all(side / 8 < v < 320 - side / 8 for v in (x, y, *forehead)):
                seen += 1
                assert scene.image[round(y), round(x)].min() > 200
                assert scene.image[round(forehead[1]), round(forehead[0])].tolist()[1] < 60
    assert seen > 20


def test_samples_follow_from_seed_and_number(plain):
    one, same, other = (DetectorSamples(plain, 64, 2, seed) for seed in (3, 3, 4))
    for name in ("images", "heat", "target"):
        assert torch.equal(getattr(one[5], name), getattr(same[5], name))
    assert not torch.equal(one[5].images, other[5].images)
    assert one[5].images.shape == (2, 3, 64, 64) and one[5].heat.shape == (2, 8, 8)


@pytest.mark.parametrize("turn", [0.0, 1.2, -3.0])
def test_targets_lead_back_to_the_face(turn):
    faces = np.array([[30.2, 41.7, 20, turn], [100, 90, 64, 0.5]], dtype=np.float32)
    heat, target = targets(faces, 16)
    for x, y, side, angle in faces.tolist():
        row, column = int((y + 0.5) / STRIDE), int((x + 0.5) / STRIDE)
        assert heat[row, column] == 1
        dx, dy, size, cos, sin = target[:, row, column].tolist()
        assert STRIDE * (column + 0.5 + dx) - 0.5 == pytest.approx(x, abs=1e-3)
        assert STRIDE * (row + 0.5 + dy) - 0.5 == pytest.approx(y, abs=1e-3)
        assert STRIDE * math.exp(size) == pytest.approx(side, rel=1e-4)
        assert math.atan2(sin, cos) == pytest.approx(angle, abs=1e-4)
    assert (heat == 1).sum() == 2
    nothing, _ = targets(NO_FACES, 16)
    assert nothing.max() == 0


def test_the_loss_is_least_at_the_truth():
    heat, target = targets(np.array([[30, 30, 24, 0.3]], dtype=np.float32), 8)
    batch = DetectorBatch(torch.zeros(1, 3, 64, 64), torch.tensor(heat)[None], torch.tensor(target)[None])
    right = torch.cat([torch.where(batch.heat == 1, 8.0, -8.0)[:, None], batch.target], dim=1)
    least = detector_loss(right, batch)
    assert least < 0.01
    for plane in range(6):
        wrong = right.clone()
        wrong[:, plane] += 1 if plane else -9
        assert detector_loss(wrong, batch) > least + 0.1
    empty = DetectorBatch(batch.images, torch.zeros(1, 8, 8), torch.zeros(1, 5, 8, 8))
    assert torch.isfinite(detector_loss(right, empty))


def test_aligned_faces_are_measured_by_their_landmarks():
    faces = SyntheticFaces(3, 128)
    points = np.stack([face_points()] * 3).astype(np.float32)
    dense = DenseLandmarks(points, np.zeros((3, 3), np.float32), np.full(3, 9, np.float32))
    found = aligned_faces(faces, dense, most=2, seed=0)
    assert len(found) == 2
    left, top, side, _ = box_from_landmarks(points[0])
    assert found[0].faces[0, :3].tolist() == pytest.approx([left + side / 2, top + side / 2, side])


def test_pictures_show_what_the_detector_at_hand_finds(tmp_path, monkeypatch):
    for name in ("some", "none"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((200, 300, 3), 255 * (name == "some"), np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    five = face(100, 80, 30)

    class Finds:
        def detect(self, frame):
            return [Detection(box_from_landmarks(five), five, 0.9)] if frame.max() else []

    monkeypatch.setattr(scenes, "make_detector", lambda *_, **__: Finds())
    (found,) = pictures_with(tmp_path)
    np.testing.assert_allclose(found.faces, face_of(five)[None])
    assert len(pictures_without(tmp_path)) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture that can be read"):
        pictures_without(tmp_path / "empty")


def test_it_learns_and_the_runtime_takes_it(plain, tmp_path):
    """Better on samples that it has not seen than before; its graph runs on a frame of another size."""
    train_detector(plain, tmp_path / "a", TINY, log=lambda _: None)
    unseen = DetectorSamples(plain, 64, 16, seed=9)[0]
    fresh, trained = DetectorNet(TINY).eval(), load_detector(tmp_path / "a")[0]
    with torch.no_grad():
        before, after = (detector_loss(net(unseen.images / 255), unseen) for net in (fresh, trained))
    assert after < 0.8 * before
    error = export_detector(tmp_path / "a", tmp_path / "net.onnx")
    assert error < 1e-3
    ProposalNet((tmp_path / "net.onnx").read_bytes(), threads=1).propose(np.zeros((70, 130, 3), np.uint8))
    with pytest.raises(CheckpointError, match="other settings"):
        train_detector(plain, tmp_path / "a", dataclasses.replace(TINY, seed=1))
