"""The evaluator learns, says what it is worth, survives interruption, and refuses what does not fit."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal

import numpy as np
import pytest
import torch

from aif.runtime.errors import CheckpointError, ConfigError, DataError
from aif.train.data.batch import Batch
from aif.train.evaluators.evaluator import (
    RESUME_FOLDER,
    AttributeScore,
    Evaluator,
    EvaluatorConfig,
    jitter,
    resize_area,
    train_evaluator,
)

NAMES = ("Bright_Top", "Red_Tint")
WEIGHTS_FILE, SIDECAR_FILE = "evaluator.safetensors", "evaluator.json"
CONFIG = EvaluatorConfig(image_size=16, warm_size=16, faces=640, width=8)


def batches(count=40, seed=0):
    """Noise in which the two attributes are plain to see, 16 pictures a batch."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        y = rng.integers(0, 2, (16, 2))
        images = rng.integers(60, 160, (16, 3, 24, 24))
        images[:, :, :12] += 80 * y[:, :1, None, None]
        images[:, 0] += 80 * y[:, 1:, None]
        where = torch.arange(16)
        made.append(
            Batch(torch.from_numpy(images.clip(0, 255).astype(np.uint8)), torch.from_numpy(y).float(), where)
        )
    return made


def held_out():
    return batches(6, seed=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluator") / "new" / "folder"
    train_evaluator(batches(), held_out(), NAMES, out, CONFIG)
    return out


def test_it_learns_and_says_what_it_is_worth(trained):
    evaluator = Evaluator.load(trained)
    assert (evaluator.attributes, evaluator.image_size) == (NAMES, 16)
    for score in evaluator.scores.values():
        assert score.n == 96 and 30 < score.positives < 66
        assert score.accuracy > 0.95 and score.balanced_accuracy > 0.95
    # the stored figures are those that the stored weights give
    right = torch.cat([(evaluator.predict(b.images.float() / 255) > 0.5) == (b.y > 0.5) for b in held_out()])
    assert right.double().mean(0).tolist() == pytest.approx(list(evaluator.accuracy.values()))
    labels = torch.cat([b.y > 0.5 for b in held_out()])
    for column, found in enumerate(evaluator.right.values()):
        for value in (False, True):
            share = right[labels[:, column] == value, column].double().mean().item()
            assert found[value] == pytest.approx(share)


def test_as_many_with_as_without_are_not_told_apart():
    assert AttributeScore(0.9, 0.9, 40, 20).right == (0.9, 0.9)
    assert AttributeScore(0.8, 0.7, 40, 10).right == pytest.approx((0.9, 0.5))


def test_crops_of_any_size_and_number(trained):
    evaluator = Evaluator.load(trained)
    large = torch.rand(5, 3, 64, 64)
    verdicts = evaluator.predict(large, batch_size=2)
    assert verdicts.shape == (5, 2)
    assert ((verdicts >= 0) & (verdicts <= 1)).all()
    small = torch.nn.functional.avg_pool2d(large, 4)
    assert torch.allclose(evaluator.predict(small), verdicts, atol=0.02)
    assert torch.allclose(evaluator.predict(large.flip(-1)), verdicts, atol=0.02)
    assert evaluator.predict(torch.zeros(0, 3, 16, 16)).shape == (0, 2)
    assert evaluator.predict(torch.rand(1, 3, 10, 10)).shape == (1, 2)


def test_an_interrupted_training_leaves_a_checkpoint_and_no_evaluator(tmp_path):
    def stopped():
        for number, batch in enumerate(batches()):
            if number == 3:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    config = dataclasses.replace(CONFIG, faces=160)
    with pytest.raises(KeyboardInterrupt):
        train_evaluator(stopped(), held_out(), NAMES, tmp_path, config)
    assert [p.name for p in tmp_path.iterdir()] == [RESUME_FOLDER]
    with pytest.raises(CheckpointError, match="other settings"):
        train_evaluator(batches(), held_out(), NAMES, tmp_path, dataclasses.replace(config, seed=1))
    with pytest.raises(CheckpointError, match="other settings"):
        train_evaluator(batches(), held_out(), NAMES[::-1], tmp_path, config)
    lines: list[str] = []
    made = train_evaluator(batches(), held_out(), NAMES, tmp_path, config, log=lines.append)
    assert lines[0] == "evaluator: goes on from 64 of 160"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([WEIGHTS_FILE, SIDECAR_FILE])
    crops = torch.rand(3, 3, 16, 16)
    assert torch.equal(Evaluator.load(tmp_path).predict(crops), made.predict(crops))  # of width 8


@pytest.mark.parametrize(
    ("file", "change"),
    [
        (WEIGHTS_FILE, None),
        (WEIGHTS_FILE, lambda data: data[:-100]),
        (SIDECAR_FILE, lambda data: b"{"),
        (SIDECAR_FILE, lambda data: data.replace(b'"Red_Tint"', b'"Red_Tint", "Smiling"')),
    ],
    ids=["no weights", "cut weights", "bad json", "other attributes"],
)
def test_damaged_evaluators_are_refused(trained, tmp_path, file, change):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    if change is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(change((tmp_path / file).read_bytes()))
    with pytest.raises(CheckpointError, match="no readable evaluator"):
        Evaluator.load(tmp_path)


def test_data_that_does_not_fit(tmp_path):
    with pytest.raises(DataError, match="2 columns, but 1"):
        train_evaluator(batches(), held_out(), ("Eyeglasses",), tmp_path / "a", CONFIG)
    with pytest.raises(DataError, match="no batch"):
        train_evaluator([], held_out(), NAMES, tmp_path / "b", CONFIG)
    with pytest.raises(ConfigError, match="at least 1 face"):
        EvaluatorConfig(faces=0)


def test_jitter_leaves_the_picture_roughly_where_it_is():
    smooth = torch.nn.functional.interpolate(torch.rand(8, 3, 4, 4), size=(48, 48), mode="bilinear")
    moved, again = (jitter(smooth, 32, torch.Generator().manual_seed(3)) for _ in range(2))
    assert moved.shape == (8, 3, 32, 32) and torch.equal(moved, again)
    plain = resize_area(smooth, 32)
    # closer to itself (or its mirror image) than to the next one
    own = torch.minimum((moved - plain).abs().mean((1, 2, 3)), (moved - plain.flip(-1)).abs().mean((1, 2, 3)))
    assert (own < (moved - plain.roll(1, 0)).abs().mean((1, 2, 3))).all()
