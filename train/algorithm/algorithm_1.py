"""Algorithm 1 of the paper: one training step of the IFcVAE-GAN.

L_enc = L_rec + alpha L_KL + rho L_class - delta L_gan - L_aux      moves the encoder E
L_dec = L_rec - delta L_gan                                         moves the decoder D
L_gan                                                               moves the discriminator C
L_aux = BCE(A(z), y)                                                moves the auxiliary network A
"""

from __future__ import annotations

import torch
from torch import Tensor

from aif.train.algorithm import losses
from aif.train.algorithm.update import (
    Losses,
    StepBatch,
    TrainState,
    detached,
    frozen,
    gathered,
    ramp,
    standardised,
    update,
    update_auxiliary,
    update_discriminator,
)
from aif.train.networks.modules import EncoderOutput
from aif.train.objectives import IfcVaeGan


def algorithm_1(state: TrainState, batch: StepBatch, o: IfcVaeGan) -> Losses:
    """One iteration of Algorithm 1; returns its losses, as they were before the update.

    One backward pass serves L_enc and L_dec: L_KL, L_class and L_aux do not depend on the decoder.
    """
    encoder, decoder = state.networks.encoder, state.networks.decoder
    discriminator, aux = state.networks.discriminator, state.networks.auxiliary
    image, y, noise, fabric = batch.image, batch.y, batch.noise, state.fabric
    scale = losses.scales(o.reduction, state.config.optimiser.batch_size)
    found: Losses = {}

    with frozen(discriminator, aux), fabric.autocast():
        code = encoder(image)  # q(z | x) and y_hat <- E(x)
        z = code.sample(noise.z)  # z ~ q(z | x)
        y_hat = y if o.decoder_y == "label" else code.y
        if o.delta > 0:  # x_hat <- D(y_hat, z), and a face of the prior, x_p <- D(y, z_p)
            both = decoder(torch.cat([z, noise.z_prior]), torch.cat([y_hat, y]))
            fakes: tuple[Tensor, ...] = both.chunk(2)
        else:
            fakes = (decoder(z, y_hat),)
        x_hat = fakes[0]

        found["rec"] = losses.reconstruction(x_hat, image, o.rec_loss, o.rec_focus)  # L_rec
        found["kl"] = losses.kl_divergence(code.mean, code.log_variance)  # L_KL
        found["class"] = losses.classification(code.y_logits, y)  # L_class
        loss = o.rec_weight * scale.rec * found["rec"] + o.alpha * scale.kl * found["kl"]
        loss = loss + o.rho * found["class"]
        if o.delta > 0:  # - L_gan, non-saturating
            found["gan"] = torch.stack(
                [losses.gan_generator(discriminator(fake, y).real) for fake in fakes]
            ).sum()
            loss = loss + o.delta * scale.generator * found["gan"]
        if o.aux_weight > 0:  # - L_aux, or what takes its place
            z_aux, y_aux = auxiliary_input(state, code, z, batch, o), gathered(y, fabric)
            found["adversary"] = losses.encoder_adversary(aux(z_aux), y_aux, state.y_rate, o.aux_target)
            loss = loss + ramp(o.aux_weight, batch.step, o.aux_ramp_steps) * found["adversary"]
        if o.class_on_reconstruction:
            found["class_rec"] = losses.classification(encoder(x_hat).y_logits, y)

    state.optimisers.autoencoder.zero_grad()
    if o.class_on_reconstruction:  # reaches the encoder only
        fabric.backward(o.rho * found["class_rec"], inputs=list(encoder.parameters()), retain_graph=True)
    fabric.backward(loss)
    update(state, state.optimisers.autoencoder, [encoder, decoder])  # E and D: min L_enc, min L_dec

    if o.delta > 0:  # C: min L_gan
        found |= update_discriminator(state, batch, fakes, scale.discriminator, o.r1_at(batch.step))
    if o.aux_weight > 0:  # A: min L_aux
        for _ in range(o.aux_steps):
            found["aux"] = update_auxiliary(state, z_aux, y_aux)
    return detached(found)


def auxiliary_input(
    state: TrainState, code: EncoderOutput, z: Tensor, batch: StepBatch, o: IfcVaeGan
) -> Tensor:
    """What the auxiliary network reads of the codes of all processes, (N, Z).

    The mean is standardised over the batch, and gradients pass through that: they cannot gain by scaling a
    number up or down.
    """
    if o.aux_input == "second":
        return gathered(code.sample(batch.noise.z_second), state.fabric)
    if o.aux_input == "sample":
        return gathered(z, state.fabric)
    return standardised(gathered(code.mean.float(), state.fabric))
