"""The landmark network: samples point where they should, it learns, the runtime takes its graph."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from made_up_face import face_points

from aif.runtime.errors import CheckpointError, ConfigError, DataError
from aif.runtime.faces.landmarks import LandmarkNet as RuntimeNet
from aif.runtime.faces.landmarks import box_from_landmarks
from aif.runtime.geometry.align import transform_points
from aif.runtime.geometry.points import (
    COUNT,
    FACE_OVAL,
    OUTER_LIP,
    five_points,
)
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.dense import DenseLandmarks, read_dense
from aif.train.landmarks import data as landmark_data
from aif.train.landmarks import others
from aif.train.landmarks.crops import extend
from aif.train.landmarks.data import LandmarkBatch, LandmarkSamples
from aif.train.landmarks.network import LandmarkConfig, LandmarkNet, export_landmarks, load_landmarks
from aif.train.landmarks.occluders import occlude
from aif.train.landmarks.score import UPRIGHT, score_landmarks
from aif.train.landmarks.training import fit_shapes, landmark_loss, seen_loss, train_landmarks

SMALL = LandmarkConfig(
    input_size=48,
    widths=(8, 12, 16, 24),
    depths=(0, 0, 0, 0),
    hidden=48,
    components=12,
    shapes=100,
    samples=4160,
    second=0.75,
    batch_size=32,
    harvest=0,
    ema=0.9,
    learning_rate=5e-3,
)
TINY = dataclasses.replace(SMALL, samples=8, second=1.0, batch_size=2)


def quiet(line):
    """A log for tests."""


class Dots(FaceDataset):
    """Coloured discs for eyes, nose and mouth, moved by a similarity; the first `broken` cannot be read."""

    name = "dots"

    def __init__(self, count, broken=0):
        rng = np.random.default_rng(count)
        self.labels = np.zeros((count, 1), dtype=np.uint8)
        self.rolls = rng.uniform(-5, 5, count)
        moves = [
            cv2.getRotationMatrix2D((64, 74), -roll, rng.uniform(0.95, 1.05)) + [[0, 0, s] for s in shift]
            for roll, shift in zip(self.rolls, rng.uniform(-2, 2, (count, 2)), strict=True)
        ]
        self.points = np.array([transform_points(face_points(), m) for m in moves], np.float32).reshape(
            -1, COUNT, 2
        )
        self.broken = broken

    @property
    def dense(self):
        pose = np.zeros((len(self), 3), dtype=np.float32)
        pose[:, 2] = self.rolls
        return DenseLandmarks(self.points, pose, np.full(len(self), 20, dtype=np.float32))

    def image(self, index):
        if index < self.broken:
            raise CorruptImageError(self.file_name(index))
        image = np.full((128, 128, 3), (40, 60, 40), dtype=np.uint8)
        points = self.points[index]
        cv2.fillPoly(image, [points[FACE_OVAL].round().astype(np.int32)], (200, 160, 140))
        cv2.fillPoly(image, [points[OUTER_LIP].round().astype(np.int32)], (220, 30, 60))
        for place, colour in zip(
            five_points(points)[:3], ((0, 0, 255), (0, 255, 0), (255, 255, 0)), strict=True
        ):
            x, y = place.round().astype(int).tolist()
            image[y - 3 : y + 4, x - 3 : x + 4] = colour
        return image

    def file_name(self, index):
        return f"shard.zip:{index:03}.webp"


def dense_file(folder, faces, **changes):
    """Write `faces`' landmarks as dense.npz, backwards, with arrays changed or (None) left out."""
    order = np.arange(len(faces))[::-1]
    mean = np.round(face_points() * 32).astype(np.int16)
    arrays: dict[str, Any] = {
        "files": np.array([faces.file_name(k).partition(":")[2] for k in order]),
        "points_x32": (np.round(faces.points[order] * 32) - mean).astype(np.int16),
        "mean_x32": mean,
        "score": np.linspace(5, 20, len(faces)).astype(np.float16)[order],
        "yaw_pitch_roll": faces.dense.pose[order].astype(np.float16),
    }
    arrays = {name: value for name, value in {**arrays, **changes}.items() if value is not None}
    np.savez(folder / "dense.npz", **arrays)
    return folder


def test_dense_landmarks_follow_the_dataset(tmp_path, monkeypatch):
    faces = Dots(5)
    dense = read_dense(dense_file(tmp_path, faces), faces)
    np.testing.assert_allclose(dense.points, faces.points, atol=1 / 32)
    np.testing.assert_allclose(dense.pose, faces.dense.pose, atol=0.01)
    assert dense.sure.tolist() == [False, True, True, True, True]
    assert dense.points.dtype == dense.pose.dtype == dense.score.dtype == np.float32
    monkeypatch.setattr(Dots, "image", lambda self, index: np.zeros((64, 64, 3), dtype=np.uint8))
    half = read_dense(tmp_path, faces)  # in pixels of the images
    np.testing.assert_allclose(half.points, (faces.points + 0.5) / 2 - 0.5, atol=1 / 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": None}, r"dense\.npz cannot be read"),
        ({"files": np.array(["000.webp", {}], dtype=object)}, "cannot be read"),
        ({"points_x32": np.zeros((3, 5, 2), dtype=np.int16)}, "points_x32 is"),
        ({"yaw_pitch_roll": np.zeros((2, 3))}, "yaw_pitch_roll is"),
        ({"files": np.array(["000.webp", "001.webp", "other.webp"])}, "no landmarks of 1 of 3 faces, 002"),
    ],
)
def test_dense_landmarks_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_dense(dense_file(tmp_path, Dots(3), **changes), Dots(3))


@pytest.mark.parametrize("close", [0.0, 1.0])
def test_points_are_on_what_they_mark(monkeypatch, close):
    nothing = np.zeros(COUNT, dtype=bool)
    monkeypatch.setattr(landmark_data, "degrade", lambda crop, rng: crop)
    monkeypatch.setattr(landmark_data, "occlude", lambda crop, *_: (crop, nothing))
    faces = Dots(4)
    samples = LandmarkSamples(faces, faces.dense, 96, 8, seed=1, negatives=0, close=close)
    colours = set()
    for number in range(12):
        sample = samples.sample(number)
        assert sample.face and sample.known
        five = five_points(sample.points)
        x, y = (five[0] * 96).round().astype(int)
        left = sample.crop[y, x].astype(int)
        colours.add(int(np.abs(left - [0, 0, 255]).max() < 60) - int(np.abs(left - [0, 255, 0]).max() < 60))
        x, y = (five[2] * 96).round().astype(int)
        assert np.abs(sample.crop[y, x].astype(int) - [255, 255, 0]).max() < 60
        roll = math.degrees(math.atan2(*(five[1] - five[0])[::-1]))
        assert sample.pose[2] == pytest.approx(roll, abs=1)
    assert colours == {1, -1}  # plain and mirrored


def test_samples_are_repeatable_and_mixed():
    faces = Dots(6)
    samples = LandmarkSamples(faces, faces.dense, 48, 40, seed=3, negatives=0.5)
    batch, again = samples[2], samples[2]
    assert torch.equal(batch.images, again.images) and torch.equal(batch.points, again.points)
    assert not torch.equal(batch.images, samples[3].images)
    assert 8 < batch.face.sum() < 32
    assert (batch.points[batch.face == 0] == 0).all() and not batch.known[batch.face == 0].any()
    doubtful = dataclasses.replace(faces.dense, score=np.full(6, 7.9, dtype=np.float32))
    batch = LandmarkSamples(faces, doubtful, 48, 20, seed=0, negatives=0)[0]
    assert batch.face.sum() > 15 and not batch.known.any()  # faces, but not where their points are


def test_broken_images_are_passed_over_up_to_a_limit():
    faces, all_broken = Dots(6, broken=2), Dots(3, broken=3)
    assert len(LandmarkSamples(faces, faces.dense, 48, 20, seed=0)[0].images) == 20
    with pytest.raises(DataError, match="in a row"):
        LandmarkSamples(all_broken, all_broken.dense, 48, 4, seed=0)[0]
    for other in (Dots(0), Dots(3)):
        with pytest.raises(DataError, match="dense landmarks are of 2"):
            LandmarkSamples(other, Dots(2).dense, 48, 4, seed=0)


def test_surroundings_keep_the_face_in_its_place():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    fills = set()
    for seed in range(24):
        canvas, (left, top) = extend(image, np.random.default_rng(seed), True)
        left, top = int(left), int(top)
        inner = canvas[top + 14 : top + 59, left + 14 : left + 50]
        assert np.array_equal(inner, image[14:59, 14:50])
        fills.add(canvas[:10, :10].tobytes())
    assert len(fills) > 5
    canvas, (left, top) = extend(image, np.random.default_rng(0), False, margin=0.25)
    assert canvas.shape == (96, 96, 3)
    assert np.array_equal(canvas[int(top) : int(top) + 64, int(left) : int(left) + 64], image)


@pytest.mark.parametrize("dense", [True, False])
def test_occluders_hide_what_they_say(dense):
    crop, other = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    points = face_points() * np.float32(96 / 144)
    if not dense:
        points = points[::4]
    shares, mouths = [], 0
    for seed in range(60):
        covered, hidden = occlude(crop, points, np.random.default_rng(seed), other if seed % 2 else None)
        changed = (covered != crop).any(axis=2)
        x, y = points.round().astype(int).T
        assert changed[y, x][hidden].mean() > 0.9 if hidden.any() else True
        shares.append(hidden.mean())
        mouths += bool(dense and hidden[OUTER_LIP].mean() > 0.5)
    assert mouths > 10 or not dense
    assert min(shares) < 0.1 and max(shares) > 0.4 and 0.1 < np.mean(shares) < 0.5


def test_false_alarms_are_cut_out_of_faces_and_pictures(tmp_path, monkeypatch):
    """The cascades take two places of an image for faces; one of them, the face, is not among the others."""
    faces = Dots(3, broken=1)
    true = box_from_landmarks(faces.points[1])
    away = np.array([4, 4, 20, 20], dtype=np.float32)
    monkeypatch.setattr(others, "_haar_boxes", lambda image: [true, away])
    cuts = others.others_in_faces(faces, faces.dense, range(3))
    assert [cut.shape for cut in cuts] == [(144, 144, 3)] * 2
    inside = cuts[0][48:96, 48:96].reshape(-1, 3)
    assert np.abs(inside.mean(axis=0) - faces.image(1)[4:24, 4:24].reshape(-1, 3).mean(axis=0)).max() < 8
    assert others.others_in_faces(faces, faces.dense, []) == []
    monkeypatch.setattr(others, "yunet_path", lambda: None)
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match="no picture that can be read"):
        others.others_in_pictures(tmp_path)
    cv2.imwrite(str(tmp_path / "a.png"), np.full((900, 300, 3), (255, 0, 0), np.uint8))
    cuts = others.others_in_pictures(tmp_path)
    assert len(cuts) == 2 + others.EACH and (np.stack(cuts) == (0, 0, 255)).all()  # RGB
    samples = LandmarkSamples(faces, faces.dense, 48, 8, seed=0, negatives=1, others=cuts)
    plain = [
        sample for sample in map(samples.sample, range(40)) if np.ptp(sample.crop, axis=(0, 1)).max() < 90
    ]
    assert len(plain) > 10 and not any(sample.face or sample.seen.any() for sample in plain)


def test_it_begins_as_the_network_that_it_takes_over():
    old = LandmarkNet(SMALL).eval()
    new = LandmarkNet(dataclasses.replace(SMALL, depths=(0, 1, 0, 2), fine=24)).eval()
    new.take_over(old)
    image = torch.rand(2, 3, 48, 48)
    for one, other in zip(old(image), new(image), strict=True):
        torch.testing.assert_close(one, other)
    with pytest.raises(ConfigError, match="does not fit"):
        LandmarkNet(dataclasses.replace(SMALL, hidden=32)).take_over(old)


def test_the_loss_counts_known_points_only():
    torch.manual_seed(0)
    points, goal, pose = torch.rand(4, COUNT, 2), torch.rand(4, COUNT, 2), torch.rand(4, 3)
    face, known = torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([True, False, True, False])
    images, logit = torch.zeros(4, 3, 8, 8), torch.zeros(4)
    moved = points.clone()
    moved[~known] += 5
    told = torch.full((4, COUNT), 20.0)
    seen = told.clip(0, 1)
    batch = LandmarkBatch(images, goal, pose, seen, face, known)
    loss = landmark_loss((points, pose, logit, told), batch)
    assert loss == landmark_loss((moved, pose, logit, -told), batch)
    assert landmark_loss((goal, pose, logit, told), batch).item() == pytest.approx(0.5 * np.log(2))
    assert landmark_loss((points, pose + 9, logit, told), batch) > loss
    none = LandmarkBatch(images, goal, pose, seen, torch.zeros(4), torch.zeros(4, dtype=torch.bool))
    assert landmark_loss((points, pose, torch.full((4,), -20.0), told), none).item() < 1e-6
    wrong = told * torch.where(known, 1, -1)[:, None]
    assert seen_loss((points, pose, logit, wrong), batch).item() < 1e-6
    assert seen_loss((points, pose, logit, -wrong), batch).item() == pytest.approx(10)
    assert seen_loss((points, pose, logit, -told), none) == 0


def test_shapes_reproduce_the_points_they_come_from():
    faces = Dots(20)
    source = LandmarkSamples(faces, faces.dense, 48, 8, seed=0, negatives=0)
    mean, basis = fit_shapes(source, 40, 6)
    # a similarity of one shape, mirrored or not, is linear in few directions
    goal = torch.from_numpy(source.sample(10**9).points.reshape(-1)) - mean
    rest = goal - torch.linalg.lstsq(basis.T, goal[:, None]).solution.T @ basis
    assert rest.abs().max() < 0.01
    for few in (3, 0):
        assert [part.shape for part in fit_shapes(source, few, 6)] == [(2 * COUNT,), (6, 2 * COUNT)]


def test_it_learns_and_the_runtime_takes_it(tmp_path):
    faces, path = Dots(60), tmp_path / "landmarks.onnx"
    train_landmarks(faces, faces.dense, tmp_path / "new", SMALL, log=quiet)
    assert export_landmarks(tmp_path / "new", path) < 0.1
    assert str(Path.cwd()).encode() not in path.read_bytes()
    large = [t for t in onnx.load(path).graph.initializer if len(t.raw_data) > 4096]
    assert large and all(t.data_type == onnx.TensorProto.FLOAT16 for t in large)
    net, faces = RuntimeNet(path.read_bytes(), threads=1), Dots(25)
    score = score_landmarks(net, faces, faces.dense, 25, jitter=UPRIGHT)
    assert score.nme < 0.2 and score.frontal_exact < 0.2
    assert score.recall > 0.9 and score.recall + score.rejection > 1.4
    found = net.in_crops(np.stack([faces.image(k)[:, :, ::-1] for k in range(3)]))
    assert found.seen.shape == (3, COUNT) and found.seen.mean() > 0.8
    hiding = LandmarkSamples(faces, faces.dense, 48, 40, seed=5, negatives=0, occluded=1)[0]
    told = net.run(hiding.images.numpy().transpose(0, 2, 3, 1)[..., ::-1]).seen
    covered = hiding.seen.numpy() == 0
    known = hiding.known.numpy()[:, None]
    assert told[covered & known].mean() < told[~covered & known].mean() - 0.1
    errors = np.linalg.norm(found.points - faces.points[:3], axis=2).mean(axis=1)
    assert errors.max() < 0.2 * 36
    broken = Dots(2, broken=2)
    with pytest.raises(DataError, match="no face"):
        score_landmarks(net, broken, broken.dense)


def test_no_checkpoint_and_no_step(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint of a landmarks network"):
        export_landmarks(tmp_path, tmp_path / "out.onnx")
    with pytest.raises(ConfigError, match="at least 64 samples"):
        LandmarkConfig(samples=10)


def test_the_default_network_is_small():
    assert sum(value.numel() for value in LandmarkNet(LandmarkConfig()).state_dict().values()) < 1.5e6


@pytest.mark.parametrize(("stop", "part"), [(4, "landmarks"), (13, "what hides faces")])
def test_interrupted_it_goes_on(tmp_path, stop, part):
    class Stopping(Dots):
        def image(self, index):
            seen.append(index)
            if len(seen) == stop:
                os.kill(os.getpid(), signal.SIGINT)
            return super().image(index)

    faces, seen = Stopping(6), list[int]()
    config = dataclasses.replace(TINY, shapes=1, negatives=0.0)
    with pytest.raises(KeyboardInterrupt):
        train_landmarks(faces, faces.dense, tmp_path, config, log=quiet)
    before = load_landmarks(tmp_path)[0].state_dict()
    lines: list[str] = []
    train_landmarks(faces, faces.dense, tmp_path, config, log=lines.append)
    assert any(line.startswith(f"{part}: goes on from ") for line in lines)
    network, kept = load_landmarks(tmp_path)
    assert kept == config
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("seen.") for name in changed)
    assert all(name.startswith("seen.") for name in changed) == (part != "landmarks")
    with pytest.raises(CheckpointError, match="other settings"):
        train_landmarks(faces, faces.dense, tmp_path, dataclasses.replace(config, hidden=8), log=quiet)
