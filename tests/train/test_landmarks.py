"""The landmark network: samples point where they should, it learns, the runtime takes its graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch

from aif.runtime.align import TEMPLATE_128
from aif.runtime.errors import CheckpointError, ConfigError, DataError
from aif.runtime.landmarks import LandmarkNet as RuntimeNet
from aif.train import landmark_data
from aif.train.data.base import CorruptImageError, FaceDataset
from aif.train.data.synthetic import SyntheticFaces
from aif.train.landmark_data import LandmarkBatch, LandmarkSamples, degrade, extend, harvest_false_boxes
from aif.train.landmarks import (
    LandmarkConfig,
    LandmarkNet,
    export_landmarks,
    landmark_loss,
    load_landmarks,
    rate_factor,
    score_landmarks,
    train_landmarks,
)

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255]], dtype=np.uint8)
UNMIRRORED, MIRRORED = [0, 1, 2, 3, 4], [1, 0, 2, 4, 3]


class Dots(FaceDataset):
    """A black image with a dot of its own colour at each landmark; the first `broken` ones cannot be read."""

    name = "dots"

    landmarks: npt.NDArray[np.float32]

    def __init__(self, count: int, broken: int = 0) -> None:
        rng = np.random.default_rng(count)
        self.labels = np.zeros((count, 1), dtype=np.uint8)
        self.landmarks = (TEMPLATE_128 + rng.uniform(-3, 3, (count, 5, 2))).round().astype(np.float32)
        self.broken = broken

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        if index < self.broken:
            raise CorruptImageError(self.file_name(index))
        image = np.zeros((128, 128, 3), dtype=np.uint8)
        for (x, y), colour in zip(self.landmarks[index].astype(int), COLOURS, strict=True):
            image[y - 3 : y + 4, x - 3 : x + 4] = colour
        return image

    def file_name(self, index: int) -> str:
        return f"dot {index}"


def centre_of(crop: npt.NDArray[np.uint8], colour: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Where a dot's pixels lie, as a fraction of the side."""
    near = np.abs(crop.astype(int) - colour).max(axis=2) < 60
    return np.argwhere(near).mean(axis=0)[::-1] / len(crop)


@pytest.mark.parametrize("train", [False, True])
def test_points_lie_on_their_landmarks(monkeypatch: pytest.MonkeyPatch, train: bool) -> None:
    monkeypatch.setattr(landmark_data, "degrade", lambda crop, rng: crop)
    monkeypatch.setattr(landmark_data, "extend", lambda image, rng, vary, mirrored=True: plain(image))
    samples = LandmarkSamples(Dots(4), 96, 8, seed=1, negatives=0, train=train)
    orders = []
    for number in range(12):
        crop, points = samples.sample(number)
        assert points is not None
        seen = np.stack([centre_of(crop, colour) for colour in COLOURS])
        errors = {
            tuple(order): np.abs(seen[order] - points).max() for order in ([0, 1, 2, 3, 4], [1, 0, 2, 4, 3])
        }
        best = min(errors, key=lambda order: errors[order])
        assert errors[best] < 0.01
        orders.append(list(best))
        # "left" is left in the picture, mirrored or not, unless the face is turned far
        assert points[0, 0] < points[1, 0]
    assert UNMIRRORED in orders
    assert (MIRRORED in orders) == train


def plain(image: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    return np.pad(image, ((100, 100), (100, 100), (0, 0))), np.array([100, 100], dtype=np.float32)


def test_samples_are_repeatable_and_mixed() -> None:
    samples = LandmarkSamples(Dots(6), 48, 40, seed=3, negatives=0.5)
    batch, again = samples[2], samples[2]
    assert torch.equal(batch.images, again.images)
    assert torch.equal(batch.points, again.points)
    assert not torch.equal(batch.images, samples[3].images)
    assert 8 < batch.face.sum() < 32
    assert (batch.points[batch.face == 0] == 0).all()
    inside = batch.points[batch.face == 1]
    assert ((inside > 0) & (inside < 1)).all()


def test_broken_images_are_passed_over_up_to_a_limit() -> None:
    batch = LandmarkSamples(Dots(6, broken=2), 48, 20, seed=0)[0]
    assert len(batch.images) == 20
    with pytest.raises(DataError, match="in a row"):
        LandmarkSamples(Dots(3, broken=3), 48, 4, seed=0)[0]


def test_surroundings_keep_the_face_in_its_place() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    fills = set()
    for seed in range(24):
        canvas, (left, top) = extend(image, np.random.default_rng(seed), True)
        left, top = int(left), int(top)
        inner = canvas[top + 14 : top + 59, left + 14 : left + 50]
        assert np.array_equal(inner, image[14:59, 14:50])
        fills.add(canvas[:10, :10].tobytes())
    assert len(fills) > 5
    canvas, (left, top) = extend(image, np.random.default_rng(0), False)
    assert np.array_equal(canvas[int(top) : int(top) + 64, int(left) : int(left) + 64], image)


def test_degraded_crops_stay_crops() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    before = crop.copy()
    results = [degrade(crop, np.random.default_rng(seed)) for seed in range(40)]
    assert np.array_equal(crop, before)
    assert {(r.shape, r.dtype) for r in results} == {((64, 64, 3), np.dtype(np.uint8))}
    assert len({r.tobytes() for r in results}) > 30


def test_harvested_boxes_are_no_faces() -> None:
    faces = SyntheticFaces(8, 128)
    for index, box in harvest_false_boxes(faces, range(8)):
        assert 0 <= index < 8
        assert landmark_data.overlap(box, landmark_data.box_from_landmarks(faces.landmarks[index])) < 0.2
    assert harvest_false_boxes(faces, []) == []


def test_datasets_without_landmarks_are_refused(tmp_path: Path) -> None:
    dataset = Dots(2)
    dataset.landmarks = None  # type: ignore[assignment]
    with pytest.raises(DataError, match="landmarks"):
        LandmarkSamples(dataset, 48, 4, seed=0)
    with pytest.raises(DataError, match="landmarks"):
        harvest_false_boxes(dataset, [0])


def test_the_loss_counts_points_of_faces_only() -> None:
    points, goal = torch.rand(4, 5, 2), torch.rand(4, 5, 2)
    face = torch.tensor([1.0, 0.0, 1.0, 0.0])
    images, logit = torch.zeros(4, 3, 8, 8), torch.zeros(4)
    moved = points.clone()
    moved[face == 0] += 5
    batch = LandmarkBatch(images, goal, face)
    assert landmark_loss(points, logit, batch, 1.0) == landmark_loss(moved, logit, batch, 1.0)
    assert landmark_loss(goal, logit, batch, 1.0).item() == pytest.approx(np.log(2))
    none = LandmarkBatch(images, goal, torch.zeros(4))
    assert landmark_loss(points, torch.full((4,), -20.0), none, 1.0).item() < 1e-6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = LandmarkConfig(
        widths=(8, 16, 24, 24), samples=3200, batch_size=32, harvest=0, ema=0.9, learning_rate=1e-2
    )
    out = tmp_path_factory.mktemp("landmarks") / "new" / "net.safetensors"
    return train_landmarks(Dots(60), out, config, workers=0, log=lambda line: None)


def test_it_learns(checkpoint: Path) -> None:
    network, config = load_landmarks(checkpoint)
    samples = LandmarkSamples(Dots(20), config.input_size, 50, seed=9, train=False)
    batches = [samples[k] for k in range(3)]
    score = score_landmarks(network, batches)
    mean = torch.cat([b.points[b.face == 1] for b in batches]).mean(0)

    class MeanFace(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return mean.expand(len(image), 5, 2), torch.ones(len(image))

    nothing = score_landmarks(MeanFace(), batches)
    assert (nothing.recall, nothing.rejection) == (1.0, 0.0)
    assert score.nme < 0.4 * nothing.nme
    assert score.recall + score.rejection > 1.5
    assert score.faces + score.others == 150


def test_learning_rate() -> None:
    factors = [rate_factor(step, 200) for step in range(200)]
    assert factors[0] == 0.1
    assert max(factors) > 0.98
    assert factors[-1] < 0.001
    assert rate_factor(0, 1) == 1.0


def test_scoring_needs_both_kinds() -> None:
    network = LandmarkNet(32, (4, 4, 4, 4)).eval()
    only_faces = LandmarkBatch(
        torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.rand(2, 5, 2), torch.ones(2)
    )
    for batches in ([], [only_faces]):
        with pytest.raises(DataError, match="one kind is missing"):
            score_landmarks(network, batches)


def test_the_exported_graph_is_what_the_runtime_takes(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "landmarks.onnx"
    assert export_landmarks(checkpoint, path) < 1e-4
    model = onnx.load(path)
    assert model.opset_import[0].version >= 17
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert str(Path.cwd()).encode() not in path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["landmarks.onnx"]
    runtime = RuntimeNet(path.read_bytes(), threads=1)
    assert runtime.input_size == 64
    faces = Dots(3)
    for index, goal in enumerate(faces.landmarks):
        frame = np.ascontiguousarray(faces.image(index)[:, :, ::-1])
        found, confidence = runtime.refine(frame, (16, 26, 96, 96))
        assert np.linalg.norm(found - goal, axis=1).mean() < 0.15 * np.linalg.norm(goal[1] - goal[0])
        assert confidence > 0.5


def test_going_on_from_an_earlier_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    network, config = load_landmarks(checkpoint)
    faces = Dots(10)
    short = LandmarkConfig(64, config.widths, samples=4, batch_size=2, harvest=0, learning_rate=1e-9)
    went_on = train_landmarks(
        faces, tmp_path / "on", short, start=checkpoint, workers=0, log=lambda line: None
    )
    fresh = train_landmarks(faces, tmp_path / "fresh", short, workers=0, log=lambda line: None)
    weight = network.heat.weight
    assert torch.allclose(load_landmarks(went_on)[0].heat.weight, weight, atol=1e-5)
    assert not torch.allclose(load_landmarks(fresh)[0].heat.weight, weight, atol=1e-2)
    other = LandmarkConfig(32, config.widths, samples=4, batch_size=2, harvest=0)
    with pytest.raises(CheckpointError, match="another shape"):
        train_landmarks(faces, tmp_path / "other", other, start=checkpoint, log=lambda line: None)


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint at all"])
def test_bad_checkpoints(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "net.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="no readable landmark checkpoint"):
        export_landmarks(path, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    "bad",
    [{"input_size": 40}, {"widths": (8, 8)}, {"samples": 10}, {"batch_size": 1}, {"negatives": 1.0}],
)
def test_configuration_is_checked(bad: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        LandmarkConfig(**bad)  # type: ignore[arg-type]
