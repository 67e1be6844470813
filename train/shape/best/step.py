"""Algorithm 1 on textures and landmarks: one iteration, line by line."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer

from aif.runtime.editing.shape.gain import EPSILON
from aif.runtime.geometry import points as dense
from aif.train.algorithm import losses
from aif.train.algorithm.update import Optimisers, frozen, standardised
from aif.train.networks.modules import Auxiliary
from aif.train.shape.best.config import Algorithm1
from aif.train.shape.best.networks import Decoding, Discriminator, ShapeDecoder, ShapeEncoder
from aif.train.shape.faces.store import Faces

CLIP = 5.0
"""Largest norm of a player's gradient."""


@dataclass(frozen=True)
class Players:
    """The four networks of Algorithm 1: E, D, C, A."""

    encoder: ShapeEncoder
    decoder: ShapeDecoder
    discriminator: Discriminator
    auxiliary: Auxiliary


def algorithm1_step(
    players: Players, optimisers: Optimisers, faces: Faces, noise: Tensor, y_rate: Tensor, weights: Algorithm1
) -> dict[str, Tensor]:
    """One iteration of Algorithm 1; returns its terms.

    As everywhere in this model, the decoder gets the labels y in training. The auxiliary network reads
    posterior means, standardised over the batch, as a probe would, so that nothing hides below the noise.

    Args:
        faces: a batch; x is its texture t and landmarks p.
        noise: (2, N, Z) standard normal.
        y_rate: (A,) mean of the labels.
    """
    encoder, decoder = players.encoder, players.decoder
    discriminator, aux = players.discriminator, players.auxiliary
    terms: dict[str, Tensor] = {}

    code = encoder(faces.texture, faces.points)  # z_mean, z_log_variance, y_hat <- E(x)
    z = code.mean + (0.5 * code.log_variance).exp() * noise[0]  # z <- z_mean + sigma e
    x_hat = decoder.decode(z, faces.y)  # x_hat <- D(y, z)

    terms["rec"] = reconstruction(x_hat, faces, weights)  # L_rec
    terms["kl"] = losses.kl_divergence(code.mean, code.log_variance)  # L_KL
    terms["class"] = len(y_rate) * F.binary_cross_entropy(code.y, faces.y)  # L_class
    loss = terms["rec"] + weights.alpha * terms["kl"] + weights.rho * terms["class"]
    with frozen(discriminator, aux):
        if weights.delta:
            score = discriminator(seen(x_hat.texture, faces))
            terms["gan"] = losses.gan_generator(score)  # L_gan <- -log C(x_hat)
            loss = loss + weights.delta * terms["gan"]
        guess = aux(standardised(code.mean))
        terms["adversary"] = losses.encoder_adversary(guess, faces.y, y_rate, "prior")  # -L_aux, bounded
        loss = loss + weights.aux * terms["adversary"]
    move(optimisers.autoencoder, loss)  # theta_enc, theta_dec <- descend

    if weights.delta:
        with torch.no_grad():
            sample = decoder.decode(noise[1], faces.y).texture  # x_tilde <- D(y, z ~ N(0, I))
        real = losses.gan_real(discriminator(seen(faces.texture, faces)))
        images = (x_hat.texture.detach(), sample)
        made = [losses.gan_fake(discriminator(seen(image, faces))) for image in images]
        terms["discriminator"] = real + (made[0] + made[1]) / 2
        move(optimisers.discriminator, terms["discriminator"])  # theta_C <- descend L_gan

    terms["aux"] = losses.auxiliary(aux(standardised(code.mean.detach())), faces.y)
    move(optimisers.auxiliary, terms["aux"])  # theta_A <- descend L_aux
    return {name: term.detach() for name, term in terms.items()}


def reconstruction(x_hat: Decoding, faces: Faces, weights: Algorithm1) -> Tensor:
    """L_rec: squared errors of the log texture, where the photo shows it, and of the landmarks."""
    error = (x_hat.log_texture - (faces.texture + EPSILON).log()).square().mean(dim=1, keepdim=True)
    texture = (error * faces.weight).sum() / faces.weight.sum().clamp(min=1)
    importance = torch.ones(dense.COUNT, device=faces.points.device)
    for part in (dense.OUTER_LIP, dense.INNER_LIP, dense.LEFT_EYE, dense.RIGHT_EYE):
        importance[part] = weights.features
    squared = ((x_hat.points - faces.points) * 128).square().sum(dim=2)
    return weights.texture * texture + weights.points * (squared * importance / importance.mean()).mean()


def seen(texture: Tensor, faces: Faces) -> Tensor:
    """A texture with grey where its face's photo shows nothing: what the discriminator may look at."""
    return texture * faces.weight + 0.5 * (1 - faces.weight)


def move(optimiser: Optimizer, loss: Tensor) -> None:
    """One step down the gradient of a loss, limited in length."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    moved = [p for group in optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(moved, CLIP)
    optimiser.step()
