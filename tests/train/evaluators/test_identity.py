"""The identity network learns who is who, says what it is worth on strangers, and judges edits by it."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from aif.runtime.errors import CheckpointError, DataError
from aif.train.data.batch import Batch
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluators import identity
from aif.train.evaluators.identity import (
    IdentityConfig,
    IdentityNetwork,
    cosface_loss,
    known_identities,
    score_identity,
    train_identity,
    training_people,
)
from aif.train.evaluators.identity_kept import IdentityScore, derangement
from aif.train.evaluators.verification import best_threshold, verify
from aif.train.statistics import Mean

WEIGHTS_FILE, SIDECAR_FILE = "identity.safetensors", "identity.json"
CONFIG = IdentityConfig(image_size=16, warm_size=16, faces=4800, embedding=16, learning_rate=4e-3)


def faces(people, each, seed):
    """Pictures whose lower half is the person's and whose upper half is anything, in batches of 16."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.repeat(np.arange(people), each))
    coarse = rng.integers(30, 226, (len(who), 3, 2, 2))
    coarse[:, :, 1] = rng.integers(30, 226, (people, 3, 2))[who]
    noise = rng.normal(0, 20, (len(who), 3, 24, 24))
    pictures = (coarse.repeat(12, 2).repeat(12, 3) + noise).clip(0, 255).astype(np.uint8)
    batches = []
    for where in torch.arange(len(who)).split(16):
        batches.append(Batch(torch.from_numpy(pictures[where.numpy()]), torch.zeros(len(where), 1), where))
    return batches, 100 * seed + who


TRAIN, TRAIN_PEOPLE = faces(40, 6, seed=1)
HELD, HELD_PEOPLE = faces(24, 4, seed=2)


def small_network(outputs, width=32):
    """Stands in for the ResNet-18, which takes a hundred times as long."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=2), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        nn.Flatten(), nn.Linear(16 * width, outputs),
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "evaluator_network", small_network)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("identity") / "new" / "folder"
    train_identity(TRAIN, TRAIN_PEOPLE, HELD, HELD_PEOPLE, out, CONFIG)
    return out


def test_it_learns_and_says_what_it_is_worth(trained):
    network = IdentityNetwork.load(trained)
    found = network.verification
    assert (found.people, found.faces, found.pairs) == (24, 96, 2 * 24 * 6)
    assert found.accuracy > 0.85 and found.same > found.different + 0.3
    # the stored figures are those that the stored weights give, and training is what made them
    assert score_identity(network, HELD, HELD_PEOPLE) == found
    torch.manual_seed(0)
    untrained = score_identity(IdentityNetwork(small_network(16), 16, 16), HELD, HELD_PEOPLE)
    assert untrained.auc < 0.85 and untrained.accuracy < 0.8 and found.auc > 0.95
    assert sorted(p.name for p in trained.iterdir()) == sorted([WEIGHTS_FILE, SIDECAR_FILE])


def test_embeddings_of_any_size_and_number(trained):
    network = IdentityNetwork.load(trained)
    large = torch.nn.functional.interpolate(torch.rand(5, 3, 4, 4), size=(64, 64), mode="bilinear")
    vectors = network.embed(large, batch_size=2)
    assert vectors.shape == (5, 16) and vectors.dtype == torch.float32
    assert torch.allclose(vectors.norm(dim=1), torch.ones(5), atol=1e-5)
    small = torch.nn.functional.avg_pool2d(large, 4)
    assert ((network.embed(small) * vectors).sum(1) > 0.999).all()
    assert ((network.embed(large.flip(-1)) * vectors).sum(1) > 0.999).all()
    assert network.embed(torch.zeros(0, 3, 16, 16)).shape == (0, 16)
    assert network.embed(torch.rand(1, 3, 10, 10)).shape == (1, 16)


def test_the_loss_is_equation_4():
    cosines = torch.tensor([[0.8, 0.1, -0.2], [0.0, 0.5, 0.5]])
    people = torch.tensor([0, 2])
    first = -math.log(math.exp(4 * 0.6) / (math.exp(4 * 0.6) + math.exp(4 * 0.1) + math.exp(4 * -0.2)))
    second = -math.log(math.exp(4 * 0.3) / (1 + math.exp(4 * 0.5) + math.exp(4 * 0.3)))
    loss = cosface_loss(cosines, people, margin=0.2, scale=4.0)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_people_with_one_face_are_no_class():
    assert training_people([9, 5, 9, 7, 5]).tolist() == [1, 0, 1, -1, 0]
    for few in ([], [1, 1, 1], [1, 1, 2, 3]):
        with pytest.raises(DataError, match="at least two"):
            training_people(few)


def test_a_dataset_that_knows_nobody():
    with pytest.raises(DataError, match=r"identity_CelebA\.txt"):
        known_identities(SyntheticFaces(2, 16))


@pytest.mark.parametrize(
    ("cosines", "same", "threshold"),
    [
        ([0.9, 0.8, 0.2, 0.0], [1, 1, 0, 0], 0.5),
        ([0.0, 0.9, 0.2, 0.8], [0, 1, 0, 1], 0.5),
        ([0.9, 0.6, 0.5, 0.1], [1, 0, 1, 0], 0.75),  # three right at 0.75, and as many at 0.3
        ([0.5, 0.5, 0.5, 0.1], [1, 1, 0, 0], 0.3),  # equal cosines share a verdict
        ([0.5, 0.5], [1, 1], -math.inf),
        ([0.9, 0.8], [0, 0], math.inf),
    ],
)
def test_best_thresholds(cosines, same, threshold):
    assert best_threshold(np.array(cosines), np.array(same, dtype=bool)) == pytest.approx(threshold)


def vectors_of(people, how):
    rng = np.random.default_rng(0)
    if how == "person":
        return np.eye(people.max() + 1)[people]
    noise = rng.normal(size=(len(people), 64))
    centres = rng.normal(size=(people.max() + 1, 64)) * {"noise": 0.0, "noisy person": 0.5}[how]
    vectors = noise + centres[people]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_verification_of_perfect_embeddings():
    people = np.repeat(np.arange(30), [1] * 5 + [2] * 10 + [5] * 15)
    found = verify(vectors_of(people, "person"), people)
    assert (found.accuracy, found.auc, found.same, found.different) == (1.0, 1.0, 1.0, 0.0)
    assert (found.people, found.faces) == (25, 95)  # faces of people seen once make no pair
    assert found.pairs == pytest.approx(2 * (10 * 1 + 15 * 10), abs=16)  # the smallest folds hold few
    assert found.standard_error == 0
    assert verify(vectors_of(people, "person"), people, limit=50).pairs == 100


def test_verification_of_noise_is_chance():
    people = np.repeat(np.arange(200), 6)
    found = verify(vectors_of(people, "noise"), people)
    assert abs(found.accuracy - 0.5) < 4 * 0.5 / math.sqrt(found.pairs)
    assert abs(found.auc - 0.5) < 0.03 and 0 < found.standard_error < 0.02
    # a threshold fitted to the pairs of a fold that it is measured on would look far better than chance
    few = np.repeat(np.arange(40), 2)
    rates = [verify(vectors_of(few, "noise"), few, seed=seed).accuracy for seed in range(20)]
    assert abs(np.mean(rates) - 0.5) < 0.08


def test_verification_against_all_pairs_taken_one_by_one():
    people = np.random.default_rng(3).permutation(np.repeat(np.arange(60), 5))
    vectors = vectors_of(people, "noisy person")
    found = verify(vectors, people)
    every, alike = vectors @ vectors.T, people[:, None] == people[None]
    upper = np.triu(np.ones_like(alike), 1)
    assert found.same == pytest.approx(every[alike & upper].mean())  # all pairs of one person, each once
    assert found.different == pytest.approx(every[~alike & upper].mean(), abs=0.03)
    wins = (every[alike & upper][:, None] > every[~alike & upper][None, ::7]).mean()
    assert found.auc == pytest.approx(wins, abs=0.03)
    assert 0.6 < found.accuracy < 0.95
    assert verify(vectors, people) == found
    assert verify(vectors, people, seed=1) != found


def test_verification_refuses():
    people = np.repeat(np.arange(4), 2)
    vectors = vectors_of(people, "person")
    assert verify(vectors, people).accuracy == 1.0  # two folds of two people
    with pytest.raises(DataError, match="four held-out people"):
        verify(vectors[:6], people[:6])
    with pytest.raises(DataError, match="not finite"):
        verify(np.full_like(vectors, np.nan), people)


@pytest.mark.parametrize(
    "identities", [[1, 2], [7, 7, 8, 9], [1, 1, 1, 2, 2, 2], [3, 1, 2, 1, 2, 3, 3, 4], list(range(50))]
)
def test_everybody_meets_another_person_once(identities):
    for seed in range(20):
        partner = derangement(identities, seed)
        assert sorted(partner.tolist()) == list(range(len(identities)))
        assert all(identities[i] != identities[k] for i, k in enumerate(partner))
    for alone in ([], [4], [4, 4], [1, 2, 1, 1, 2]):
        with pytest.raises(DataError, match="other people"):
            derangement(alone)


def test_identity_kept_is_between_another_person_and_the_same_picture():
    for edited, other, kept in ((1.0, 0.2, 1.0), (0.2, 0.2, 0.0), (0.6, 0.2, 0.5)):
        score = IdentityScore(*(Mean.of([value]) for value in (edited, 1.0, other)))
        assert score.kept == pytest.approx(kept)
    assert math.isnan(IdentityScore(*(Mean.of([1.0]) for _ in "123")).kept)


def test_data_that_does_not_fit(tmp_path):
    with pytest.raises(DataError, match="no batch"):
        train_identity([], TRAIN_PEOPLE, HELD, HELD_PEOPLE, tmp_path, CONFIG)
    with pytest.raises(DataError, match="24 people are both"):
        train_identity(TRAIN, TRAIN_PEOPLE, HELD, HELD_PEOPLE - 100, tmp_path, CONFIG)
    with pytest.raises(DataError, match="four held-out people"):
        train_identity(TRAIN, TRAIN_PEOPLE, HELD, np.arange(len(HELD_PEOPLE)) + 500, tmp_path, CONFIG)
    with pytest.raises(DataError, match="hardly a face"):
        alone = [Batch(b.images[:1], b.y[:1], b.indices[:1]) for b in TRAIN]
        train_identity(alone, TRAIN_PEOPLE, HELD, HELD_PEOPLE, tmp_path, CONFIG)


def test_interrupted_and_with_people_seen_once(tmp_path):
    """People with one face are left out of training; a training goes on with the same people only."""
    people = TRAIN_PEOPLE.copy()
    people[::3] = 10_000 + np.arange(len(people[::3]))
    names, counts = np.unique(people, return_counts=True)
    kept = int(np.isin(people[:48], names[counts >= 2]).sum())  # of the first three batches

    def stopped():
        for number, batch in enumerate(TRAIN):
            if number == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    config = dataclasses.replace(CONFIG, faces=100)
    with pytest.raises(KeyboardInterrupt):
        train_identity(stopped(), people, HELD, HELD_PEOPLE, tmp_path, config)
    with pytest.raises(CheckpointError, match="other settings"):
        train_identity(TRAIN, TRAIN_PEOPLE, HELD, HELD_PEOPLE, tmp_path, config)
    lines: list[str] = []
    train_identity(TRAIN, people, HELD, HELD_PEOPLE, tmp_path, config, log=lines.append)
    assert lines[0] == f"identity: goes on from {kept} of 100"
    assert json.loads((tmp_path / SIDECAR_FILE).read_text())["people"] == int((counts >= 2).sum())
