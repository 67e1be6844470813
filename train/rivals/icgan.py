"""IcGAN (Perarnau et al., 2016): a conditional GAN first, then encoders that find its inputs again.

The generator is the decoder, the inverse is the encoder: z is regressed on generated faces, whose z is known,
and y learnt on real faces, whose labels are known.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor

from aif.train.algorithm import losses
from aif.train.algorithm.noise import StepNoise
from aif.train.algorithm.step import Optimisers, frozen, update, update_discriminator
from aif.train.config import TrainConfig
from aif.train.networks.modules import Networks


def icgan_step(
    networks: Networks,
    optimisers: Optimisers,
    image: Tensor,
    y: Tensor,
    noise: StepNoise,
    config: TrainConfig,
    step: int,
    fabric: Fabric,
) -> dict[str, Tensor]:
    """One iteration: of the conditional GAN for the first `gan_share` of the steps, then of the encoder.

    image (N, 3, S, S) in [0, 1], y (N, A) 0/1; returns the terms as scalars.
    """
    if step < round(config.steps * config.objective.gan_share):
        return gan_step(networks, optimisers, image, y, noise, config, step, fabric)
    return inverse_step(networks, optimisers, image, y, noise, config, fabric)


def gan_step(
    networks: Networks,
    optimisers: Optimisers,
    image: Tensor,
    y: Tensor,
    noise: StepNoise,
    config: TrainConfig,
    step: int,
    fabric: Fabric,
) -> dict[str, Tensor]:
    """Section 3 there: the generator G(z, y) against a discriminator conditioned on y."""
    decoder, critic = networks.decoder, networks.discriminator
    with frozen(critic), fabric.autocast():
        generated = decoder(noise.z_prior, y)
        terms = {"gan": losses.gan_generator(critic(generated, y)[0])}
    optimisers.autoencoder.zero_grad()
    fabric.backward(terms["gan"])
    update(fabric, optimisers.autoencoder, [decoder], config)
    terms |= update_discriminator(networks, optimisers, image, y, (generated,), config, step, fabric)
    return {name: term.detach() for name, term in terms.items()}


def inverse_step(
    networks: Networks,
    optimisers: Optimisers,
    image: Tensor,
    y: Tensor,
    noise: StepNoise,
    config: TrainConfig,
    fabric: Fabric,
) -> dict[str, Tensor]:
    """Section 3.1 there: E_z learns z of generated faces (squared error), E_y the labels of real ones."""
    encoder = networks.encoder
    with torch.no_grad(), fabric.autocast():
        generated = networks.decoder(noise.z_prior, y)
    with fabric.autocast():
        code = encoder(torch.cat([generated, image]))  # one batch, so that batch norm sees both alike
        n = len(image)
        terms = {
            "z": F.mse_loss(code.mean[:n].float(), noise.z_prior),
            "class": losses.classification(code.y_logits[n:], y),
        }
    optimisers.autoencoder.zero_grad()
    fabric.backward(terms["z"] + config.objective.rho * terms["class"])
    update(fabric, optimisers.autoencoder, [encoder], config)
    return {name: term.detach() for name, term in terms.items()}
