import math

import pytest
import torch

from aif.train.algorithm import losses

X = torch.tensor([0.0, 0.5, 1.0, 0.25]).view(1, 1, 2, 2).repeat(3, 3, 1, 1)
BCE_OF_X = -(0.5 * math.log(0.5) * 2 + 0.25 * math.log(0.25) + 0.75 * math.log(0.75))  # of one 2x2 channel


@pytest.mark.parametrize(
    ("image_hat", "kind", "expected"),
    [
        (X, "l1", 0.0),
        (1 - X, "l1", (1 + 0 + 1 + 0.5) / 4),
        (1 - X, "mse", (1 + 0 + 1 + 0.25) / 4),
        (X, "bce", BCE_OF_X / 4),
        (torch.zeros(3, 3, 2, 2), "bce", -math.log(1e-6) * 1.75 / 4),  # finite for saturated pixels
    ],
)
def test_reconstruction(image_hat, kind, expected):
    assert losses.reconstruction(image_hat, X, kind).item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("mean", "log_variance", "expected"), [(0.0, 0.0, 0.0), (2.0, 0.0, 2.0), (0.0, 1.0, 0.5 * (math.e - 2))]
)
def test_kl_divergence(mean, log_variance, expected):
    shape = (5, 7)
    found = losses.kl_divergence(torch.full(shape, mean), torch.full(shape, log_variance))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_scales_turn_means_into_the_sums_of_the_paper():
    """Six faces of 8 px and codes of 5 numbers."""
    error, divergence = torch.rand(6, 3, 8, 8), torch.rand(6, 5)
    found = losses.scales("authors", 6)
    assert found.rec * error.mean().item() == pytest.approx(error.sum().item() / 8**2, rel=1e-5)
    assert found.kl * divergence.mean().item() == pytest.approx(divergence.sum().item() / 5, rel=1e-5)
    assert found[2:] == pytest.approx((3.0, 1.8))  # 0.5 and 0.3 of six faces
    assert losses.scales("mean", 6) == (1, 1, 1, 1)


FEATURES = torch.tensor([[1.0, 0.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    ("fake", "means", "matching"),
    [
        (FEATURES, 0.0, 0.0),
        (FEATURES.flip(0), 0.0, 0.5 * (4 + 16)),  # the same set in another order has the same mean
        (FEATURES + torch.tensor([1.0, -2.0]), 0.5 * 5, 0.5 * 5),
    ],
)
def test_feature_losses(fake, means, matching):
    assert losses.feature_means(FEATURES, fake).item() == pytest.approx(means)
    assert losses.feature_matching(FEATURES, fake).item() == pytest.approx(matching)


@pytest.mark.parametrize(
    ("of", "log_variance", "off", "diagonal"),
    [
        # covariance of (1, 1), (-1, -1), (2, 0), (-2, 0): variances 2.5 and 0.5, covariance 0.5
        ("mean", 0.0, 2 * 0.25, 1.5**2 + 0.5**2),
        ("sample", 0.0, 2 * 0.25, 2.5**2 + 0.5**2),
        ("sample", math.log(0.5), 2 * 0.25, 2.0**2 + 0.0),
    ],
)
def test_disentangled_prior(of, log_variance, off, diagonal):
    mean = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [2.0, 0.0], [-2.0, 0.0]])
    found = losses.disentangled_prior(mean, torch.full((4, 2), log_variance), of)
    assert [term.item() for term in found] == pytest.approx([off, diagonal])


@pytest.mark.parametrize(
    ("target", "logit", "y", "expected"),
    [
        ("ascend", 0.0, 1.0, -math.log(2)),
        ("ascend", 20.0, 0.0, -20.0),  # unbounded: grows with A's confidence
        ("prior", math.log(0.25 / 0.75), 1.0, -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))),
        ("flip", 0.0, 1.0, math.log(2)),
        ("flip", 20.0, 1.0, 20.0),
    ],
)
def test_encoder_adversary(target, logit, y, expected):
    found = losses.encoder_adversary(
        torch.full((4, 1), logit), torch.full((4, 1), y), torch.tensor([0.25]), target
    )
    assert found.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("logit", [-30.0, -1.0, 0.0, 2.0, 30.0])
def test_gan_terms_are_the_cross_entropies(logit):
    one = torch.full((3,), logit)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    for term, goal in ((losses.gan_real, 1.0), (losses.gan_generator, 1.0), (losses.gan_fake, 0.0)):
        assert term(one).item() == pytest.approx(bce(one, torch.full((3,), goal)).item(), abs=1e-6)


def test_r1_penalty_of_a_linear_discriminator():
    image = torch.rand(2, 3, 4, 4, requires_grad=True)
    weight = torch.randn(3, 4, 4)
    penalty = losses.r1_penalty((image * weight).sum(dim=(1, 2, 3)), image)
    assert penalty.item() == pytest.approx(0.5 * weight.square().sum().item(), rel=1e-5)


@pytest.mark.parametrize("size", [64, 128])
def test_focus_counts_the_middle_more_and_the_whole_alike(size):
    weights = losses.focus_weights(size, 2.0)
    assert weights.shape == (size, size) and weights.mean().item() == pytest.approx(1.0, abs=1e-5)
    assert weights[int(0.62 * size), size // 2] > 2.5 * weights[0, 0]
    image = torch.zeros(1, 3, size, size)
    middle, corner = image.clone(), image.clone()
    middle[..., int(0.62 * size), size // 2] = corner[..., 0, 0] = 1
    near, far = (losses.reconstruction(x, image, "l1", 2.0) for x in (middle, corner))
    assert near > 2.5 * far
    assert losses.reconstruction(image + 0.5, image, "l1", 2.0).item() == pytest.approx(0.5, abs=1e-5)


def test_the_price_of_change_moves_the_edit_alone():
    edited, reconstruction = (torch.rand(2, 3, 8, 8, requires_grad=True) for _ in range(2))
    losses.edit_keep(edited, reconstruction).backward()
    assert edited.grad is not None and edited.grad.abs().max() > 0
    assert reconstruction.grad is None
