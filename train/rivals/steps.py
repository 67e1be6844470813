"""One training step of each method that the paper is compared with (IcGAN's is in `icgan.py`)."""

from __future__ import annotations

import torch

from aif.train.algorithm import losses
from aif.train.algorithm.update import (
    Losses,
    StepBatch,
    TrainState,
    detached,
    frozen,
    gathered,
    minimise,
    ramp,
    update_auxiliary,
    update_discriminator,
)
from aif.train.objectives import Classifier, CvaeGan, Fader, Vae


def classifier_step(state: TrainState, batch: StepBatch, _: Classifier) -> Losses:
    """Attributes alone: L_class moves the encoder's trunk and y head; nothing else learns."""
    encoder = state.networks.encoder
    with state.fabric.autocast():
        found = {"class": losses.classification(encoder(batch.image).y_logits, batch.y)}
    minimise(state, found["class"], state.optimisers.autoencoder, [encoder])
    return detached(found)


def cvae_gan_step(state: TrainState, batch: StepBatch, o: CvaeGan) -> Losses:
    """cVAE-GAN (Bao et al., 2017): L = L_KL + L_G + L_GD + L_D there, without its classifier.

    Sums over a face, averaged over faces. What predicts y has a trunk of its own and moves nothing else.
    """
    image, y, noise = batch.image, batch.y, batch.noise
    encoder, decoder = state.networks.encoder, state.networks.decoder
    discriminator = state.networks.discriminator
    found: Losses = {}
    with frozen(discriminator), state.fabric.autocast():
        code = encoder(image, y)
        z = code.sample(noise.z)
        both = decoder(torch.cat([z, noise.z_prior]), torch.cat([y, y]))
        x_hat, x_p = both.chunk(2)
        found["rec"] = losses.reconstruction(x_hat, image, "mse")
        found["kl"] = losses.kl_divergence(code.mean, code.log_variance)
        found["class"] = losses.classification(code.y_logits, y)
        real, fake, sample = (discriminator.features(picture, y) for picture in (image, x_hat, x_p))
        found["gan"] = losses.feature_means(real, sample)  # L_GD, section 3.2
        found["matching"] = losses.feature_matching(real, fake)  # L_G, section 3.3
        loss = o.rec_weight * image[0].numel() * found["rec"] + o.alpha * z.shape[1] * found["kl"]
        loss = loss + o.rho * found["class"] + o.delta * found["gan"] + o.matching * found["matching"]
    minimise(state, loss, state.optimisers.autoencoder, [encoder, decoder])
    return detached(found | update_discriminator(state, batch, (x_hat, x_p)))


def fader_step(state: TrainState, batch: StepBatch, o: Fader) -> Losses:
    """Fader Networks (Lample et al., 2017), equations 3 and 4; the code is deterministic.

    |D(E(x), y) - x|^2 - lambda_E log P(1 - y | E(x)), then -log P(y | E(x)).
    """
    image, y = batch.image, batch.y
    encoder, decoder, aux = state.networks.encoder, state.networks.decoder, state.networks.auxiliary
    found: Losses = {}
    with frozen(aux), state.fabric.autocast():
        code = encoder(image)
        z = code.mean.float()
        found["rec"] = losses.reconstruction(decoder(z, y), image, "mse")
        found["class"] = losses.classification(code.y_logits, y)
        z_all, y_all = gathered(z, state.fabric), gathered(y, state.fabric)
        found["adversary"] = losses.auxiliary(aux(z_all), 1 - y_all)
        weight = ramp(o.aux_weight, batch.step, o.aux_ramp_steps)
        loss = o.rec_weight * found["rec"] + o.rho * found["class"] + weight * found["adversary"]
    minimise(state, loss, state.optimisers.autoencoder, [encoder, decoder])
    found["aux"] = update_auxiliary(state, z_all, y_all)
    return detached(found)


def vae_step(state: TrainState, batch: StepBatch, o: Vae) -> Losses:
    """VAE (Kingma and Welling, 2014), beta-VAE (Higgins et al., 2017) and DIP-VAE (Kumar et al., 2018).

    The decoder knows no y; y is predicted linearly from the posterior mean, which that does not move.
    """
    image, fabric = batch.image, state.fabric
    encoder, decoder = state.networks.encoder, state.networks.decoder
    found: Losses = {}
    with fabric.autocast():
        code = encoder(image)
        z = code.sample(batch.noise.z)
        found["rec"] = losses.reconstruction(decoder(z, code.y), image, "bce")
        found["kl"] = losses.kl_divergence(code.mean, code.log_variance)
        found["class"] = losses.classification(code.y_logits, batch.y)
        loss = image[0].numel() * found["rec"] + o.beta * z.shape[1] * found["kl"]
        loss = loss + o.rho * found["class"]
        if o.dip_off > 0 or o.dip_diagonal > 0:
            mean, log_variance = (gathered(t.float(), fabric) for t in (code.mean, code.log_variance))
            found["dip_off"], found["dip_diagonal"] = losses.disentangled_prior(mean, log_variance, o.dip)
            loss = loss + o.dip_off * found["dip_off"] + o.dip_diagonal * found["dip_diagonal"]
    minimise(state, loss, state.optimisers.autoencoder, [encoder, decoder])
    return detached(found)
