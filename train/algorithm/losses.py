"""The loss terms as pure functions, one equation each (names as in the paper, section 3)."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def reconstruction(
    image_hat: Tensor, image: Tensor, kind: Literal["bce", "l1", "mse"], focus: float = 0.0
) -> Tensor:
    """L_rec = -E_q(z|x) log p(x | z, y): binary cross-entropy of pixels, mean absolute or squared error.

    Both images (N, 3, S, S) in [0, 1]; averaged over everything. focus: see `focus_weights`.
    """
    image_hat = image_hat.float()
    if kind == "bce":
        image_hat = image_hat.clamp(1e-6, 1 - 1e-6)
        # written out: PyTorch's own refuses to run under CUDA's autocast
        error = -(image * image_hat.log() + (1 - image) * (1 - image_hat).log())
    else:
        error = (image_hat - image).abs() if kind == "l1" else (image_hat - image).square()
    if focus:
        error = error * focus_weights(image.shape[-1], focus).to(error.device)
    return error.mean()


@functools.cache
def focus_weights(size: int, focus: float) -> Tensor:
    """(size, size) weights of mean 1: 1 + focus * a bell over eyes, nose and mouth, where most edits are."""
    side = (torch.arange(size) + 0.5) / size
    bell = torch.exp(-((side[:, None] - 0.62) ** 2 + (side[None] - 0.5) ** 2) / (2 * 0.2**2))
    weights = 1 + focus * bell
    return weights / weights.mean()


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """L_KL = KL(q(z|x) || N(0, I)) = -1/2 sum(1 + log s^2 - m^2 - s^2).

    mean, log_variance (N, Z); averaged over faces and numbers of z.
    """
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()


class Scales(NamedTuple):
    """Factors of L_rec, L_KL, and L_gan for the decoder and for the discriminator."""

    rec: float
    kl: float
    generator: float
    discriminator: float


def scales(reduction: Literal["authors", "mean"], batch: int) -> Scales:
    """From the means that the functions here return to the sums of `IfcVaeGan.reduction`."""
    if reduction == "authors":
        return Scales(3.0 * batch, float(batch), 0.5 * batch, 0.3 * batch)
    return Scales(1.0, 1.0, 1.0, 1.0)


def classification(y_logits: Tensor, y: Tensor) -> Tensor:
    """L_class = BCE(E_y(x), y), averaged over faces, summed over attributes. Logits and y are (N, A)."""
    return y_logits.shape[1] * F.binary_cross_entropy_with_logits(y_logits.float(), y)


def auxiliary(a_logits: Tensor, y: Tensor) -> Tensor:
    """L_aux = BCE(A(z), y), averaged over faces, summed over attributes: what A minimises. Both (N, A)."""
    return classification(a_logits, y)


def encoder_adversary(
    a_logits: Tensor, y: Tensor, y_rate: Tensor, target: Literal["ascend", "prior", "flip"]
) -> Tensor:
    """The encoder's term against the auxiliary network; to be minimised by the encoder.

    ascend: -L_aux, as printed (unbounded). prior: BCE(A(z), mean rate of y), least when A can only guess.
    flip: BCE(A(z), 1 - y), as Fader Networks. `y_rate` (A,) is each attribute's rate in the training data.
    """
    if target == "ascend":
        return -auxiliary(a_logits, y)
    return auxiliary(a_logits, y_rate.expand_as(y) if target == "prior" else 1 - y)


def edit_keep(edited: Tensor, reconstruction: Tensor) -> Tensor:
    """Mean absolute difference of edited faces from their reconstructions (detached), which keeps edits from
    changing more than they need to. Both (N, 3, S, S)."""
    return (edited.float() - reconstruction.detach().float()).abs().mean()


def gan_generator(fake_logits: Tensor) -> Tensor:
    """Non-saturating -log C(fake), averaged: what encoder and decoder minimise (-L_gan in the paper)."""
    return F.softplus(-fake_logits.float()).mean()


def gan_real(real_logits: Tensor) -> Tensor:
    """-log C(real), averaged: the discriminator's part on real faces."""
    return F.softplus(-real_logits.float()).mean()


def gan_fake(fake_logits: Tensor) -> Tensor:
    """-log(1 - C(fake)), averaged: the discriminator's part on decoded faces."""
    return F.softplus(fake_logits.float()).mean()


def feature_means(real: Tensor, fake: Tensor) -> Tensor:
    """L_GD = 1/2 |E f_C(x) - E f_C(x_p)|^2 of features (N, F): what the decoder of Bao et al. minimises."""
    return 0.5 * (real.float().mean(0) - fake.float().mean(0)).square().sum()


def feature_matching(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 |f_C(x) - f_C(x_hat)|^2 of features (N, F), averaged over faces (Bao et al., 2017, section 3.3)."""
    return 0.5 * (real.float() - fake.float()).square().sum(1).mean()


def disentangled_prior(
    mean: Tensor, log_variance: Tensor, of: Literal["mean", "sample"]
) -> tuple[Tensor, Tensor]:
    """What DIP-VAE adds (Kumar et al., 2018, equations 6 and 7): sum of C_ij^2 off the diagonal, and of
    (C_ii - 1)^2 on it.

    mean, log_variance (N, Z). C is the covariance of the posterior means ("mean", DIP-VAE I), to which the
    mean posterior variance is added for that of the samples ("sample", DIP-VAE II).
    """
    covariance = torch.cov(mean.float().T, correction=0)
    if of == "sample":
        covariance = covariance + torch.diag(log_variance.float().exp().mean(0))
    diagonal = covariance.diagonal()
    return covariance.square().sum() - diagonal.square().sum(), (diagonal - 1).square().sum()


def r1_penalty(real_logits: Tensor, image: Tensor) -> Tensor:
    """R1 = 1/2 E |grad_x C(x)|^2 on real faces (Mescheder et al., 2018, equation 9); image requires grad."""
    (gradient,) = torch.autograd.grad(real_logits.float().sum(), image, create_graph=True)
    return 0.5 * gradient.square().sum(dim=(1, 2, 3)).mean()
