"""The Frechet distance against its closed form, and through the evaluator's network."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor, nn

from aif.train.evaluators.evaluator import Evaluator, evaluator_network, normalise
from aif.train.evaluators.frechet import EvaluatorFeatures, frechet_distance

Array = npt.NDArray[np.float64]


class AsTheyAre(nn.Module):
    """Features that are the pictures themselves."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.num_features = count

    def forward(self, images: Tensor) -> Tensor:
        return images


def gaussian(mean: Array, covariance: Array, n: int = 200, seed: int = 0) -> Tensor:
    """(n, D) numbers whose sample mean and covariance are exactly those given."""
    raw = np.random.default_rng(seed).normal(size=(n, len(mean)))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    return torch.from_numpy(white @ np.linalg.cholesky(covariance).T + mean)


def random_covariance(seed: int, d: int = 4) -> Array:
    factor = np.random.default_rng(seed).normal(size=(d, d))
    return factor @ factor.T + 0.1 * np.eye(d)


ZERO, ONE = np.zeros(4), np.eye(4)
STEP = np.array([3.0, 0.0, -4.0, 0.0])


@pytest.mark.parametrize(
    ("mean", "covariance", "expected"),
    [
        (ZERO, ONE, 0.0),
        (STEP, ONE, 25.0),  # |m1 - m2|^2
        (ZERO, 4 * ONE, 4 * (2 - 1) ** 2),  # equal axes: the sum of (s1 - s2)^2
        (STEP, np.diag([1.0, 4.0, 9.0, 0.25]), 25 + 0 + 1 + 4 + 0.25),
    ],
)
def test_closed_form_by_hand(mean: Array, covariance: Array, expected: float) -> None:
    real, made = gaussian(ZERO, ONE), gaussian(mean, covariance, n=150, seed=1)
    found = frechet_distance(AsTheyAre(4), real, made)
    assert found == pytest.approx(expected, abs=1e-6)
    assert frechet_distance(AsTheyAre(4), made, real) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_closed_form_of_covariances_with_different_axes(seed: int) -> None:
    first, second = random_covariance(seed), random_covariance(seed + 10)
    found = frechet_distance(AsTheyAre(4), gaussian(STEP, first), gaussian(ZERO, second, seed=1))
    expected = 25 + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert expected > 26
    assert found == pytest.approx(expected, rel=1e-6)


def test_batches_are_one_set() -> None:
    real, made = gaussian(ZERO, random_covariance(0)), gaussian(STEP, random_covariance(1))
    whole = frechet_distance(AsTheyAre(4), real, made)
    assert frechet_distance(AsTheyAre(4), real, made, batch_size=3) == pytest.approx(whole, rel=1e-9)


def test_what_cannot_be_measured_is_nan() -> None:
    broken = torch.rand(5, 4)
    broken[2, 1] = math.nan
    for real, made in ((torch.rand(5, 4), broken), (torch.rand(1, 4), torch.rand(5, 4))):
        assert math.isnan(frechet_distance(AsTheyAre(4), real, made))


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Evaluator(evaluator_network(3), ("a", "b", "c"), 16)


def test_features_are_what_the_last_layer_sees(evaluator: Evaluator) -> None:
    features = EvaluatorFeatures(evaluator)
    assert features.num_features == 256
    images = torch.rand(3, 3, 16, 16)
    found = features(images)
    assert found.shape == (3, 256) and found.dtype == torch.float64
    with torch.no_grad():
        logits = evaluator.network(normalise(images))
        last = evaluator.network[-1]  # type: ignore[index] # which is nn.Sequential
        assert isinstance(last, nn.Linear)  # the evaluator itself keeps its last layer
        assert torch.allclose(last(found.float()), logits, atol=1e-5)
    assert features(torch.rand(2, 3, 40, 40)).shape == (2, 256)


def test_through_the_evaluator(evaluator: Evaluator) -> None:
    features = EvaluatorFeatures(evaluator)
    generator = torch.Generator().manual_seed(1)
    coarse = torch.nn.functional.interpolate(
        torch.rand(24, 3, 4, 4, generator=generator), size=(16, 16), mode="bilinear"
    )
    found = frechet_distance(features, coarse, coarse)
    assert found == pytest.approx(0, abs=1e-3)
    distances = [frechet_distance(features, coarse, (coarse + d).clamp(0, 1)) for d in (0.05, 0.3)]
    assert found < distances[0] < distances[1]
