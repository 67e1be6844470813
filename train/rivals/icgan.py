"""IcGAN (Perarnau et al., 2016): a conditional GAN first, then encoders that find its inputs again.

The generator is the decoder, the inverse is the encoder: z is regressed on generated faces, whose z is known,
and y learnt on real faces, whose labels are known. As there, real faces with wrong labels count as fake for
the discriminator, so that it cannot ignore y.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from aif.train.algorithm import losses
from aif.train.algorithm.update import (
    Losses,
    StepBatch,
    TrainState,
    detached,
    frozen,
    minimise,
)
from aif.train.objectives import IcGan


def icgan_step(state: TrainState, batch: StepBatch, o: IcGan) -> Losses:
    """One iteration: of the conditional GAN for the first `gan_share` of the steps, then of the encoders."""
    if batch.step < round(state.config.steps * o.gan_share):
        return _gan_step(state, batch)
    return _inverse_step(state, batch, o)


def _gan_step(state: TrainState, batch: StepBatch) -> Losses:
    """Section 3 there: the generator G(z, y) against a discriminator conditioned on y."""
    decoder, discriminator = state.networks.decoder, state.networks.discriminator
    image, y = batch.image, batch.y
    with frozen(discriminator), state.fabric.autocast():
        generated = decoder(batch.noise.z_prior, y)
        found = {"gan": losses.gan_generator(discriminator(generated, y).real)}
    minimise(state, found["gan"], state.optimisers.autoencoder, [decoder])
    with state.fabric.autocast():
        found["gan_real"] = losses.gan_real(discriminator(image, y).real)
        found["gan_fake"] = losses.gan_fake(discriminator(generated.detach(), y).real)
        wrong_y = torch.where(batch.noise.flip, 1 - y, y)
        found["gan_wrong_y"] = losses.gan_fake(discriminator(image, wrong_y).real)
        loss = found["gan_real"] + 0.5 * (found["gan_fake"] + found["gan_wrong_y"])
    minimise(state, loss, state.optimisers.discriminator, [discriminator])
    return detached(found)


def _inverse_step(state: TrainState, batch: StepBatch, o: IcGan) -> Losses:
    """Section 3.1 there: E_z learns z of generated faces (squared error), E_y the labels of real ones."""
    encoder, noise = state.networks.encoder, batch.noise.z_prior
    with torch.no_grad(), state.fabric.autocast():
        generated = state.networks.decoder(noise, batch.y)
    with state.fabric.autocast():
        n = len(batch.image)
        code = encoder(torch.cat([generated, batch.image]))  # one batch, so that batch norm sees both
        found = {
            "z": F.mse_loss(code.mean[:n].float(), noise),
            "class": losses.classification(code.y_logits[n:], batch.y),
        }
    loss = found["z"] + o.rho * found["class"]
    minimise(state, loss, state.optimisers.autoencoder, [encoder])
    return detached(found)
