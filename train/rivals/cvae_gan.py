"""cVAE-GAN (Bao et al., 2017): encoder and decoder conditioned on the label, feature matching."""

from __future__ import annotations

import torch

from aif.train.algorithm import losses
from aif.train.algorithm.update import (
    Losses,
    StepBatch,
    TrainState,
    detached,
    frozen,
    minimise,
    update_discriminator,
)
from aif.train.objectives import CvaeGan


def cvae_gan_step(state: TrainState, batch: StepBatch, o: CvaeGan) -> Losses:
    """One iteration of L = L_KL + L_G + L_GD + L_D there, without its classifier.

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
