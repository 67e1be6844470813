"""The Frechet distance by hand, and through the evaluator's network."""

import math

import pytest
import torch
from torch import nn

from aif.train.evaluators.evaluator import Evaluator, evaluator_network, normalise
from aif.train.evaluators.frechet import EvaluatorFeatures, frechet_distance


class AsTheyAre(nn.Module):
    """Features that are the pictures themselves."""

    def __init__(self, count):
        super().__init__()
        self.num_features = count

    def forward(self, images):
        return images


@pytest.mark.parametrize("batch_size", [3, 500])
def test_faces_that_are_moved_are_the_square_of_that_apart(batch_size):
    real = torch.rand(200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moved = real + torch.tensor([3.0, 0.0, -4.0, 0.0])
    for one, other in ((real, moved), (moved, real)):
        found = frechet_distance(AsTheyAre(4), one, other, batch_size=batch_size)
        assert found == pytest.approx(25, abs=1e-6)


def test_what_cannot_be_measured_is_nan():
    broken = torch.rand(5, 4)
    broken[2, 1] = math.nan
    for real, made in ((torch.rand(5, 4), broken), (torch.rand(1, 4), torch.rand(5, 4))):
        assert math.isnan(frechet_distance(AsTheyAre(4), real, made))


@pytest.fixture(scope="module")
def evaluator():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Evaluator(evaluator_network(3), ("a", "b", "c"), 16)


def test_features_are_what_the_last_layer_sees(evaluator):
    features = EvaluatorFeatures(evaluator)
    assert features.num_features == 256
    images = torch.rand(3, 3, 16, 16)
    found = features(images)
    assert found.shape == (3, 256) and found.dtype == torch.float64
    with torch.no_grad():
        logits = evaluator.network(normalise(images))
        last = evaluator.network[-1]  # which is nn.Sequential
        assert isinstance(last, nn.Linear)  # the evaluator itself keeps its last layer
        assert torch.allclose(last(found.float()), logits, atol=1e-5)
    assert features(torch.rand(2, 3, 40, 40)).shape == (2, 256)


def test_through_the_evaluator(evaluator):
    features = EvaluatorFeatures(evaluator)
    coarse = torch.rand(24, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    found = frechet_distance(features, coarse, coarse)
    assert found == pytest.approx(0, abs=1e-3)
    distances = [frechet_distance(features, coarse, (coarse + d).clamp(0, 1)) for d in (0.05, 0.3)]
    assert found < distances[0] < distances[1]
