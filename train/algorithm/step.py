"""One training step: Algorithm 1 of the paper, with the switches that it leaves unsaid."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from aif.train.algorithm import losses
from aif.train.algorithm.noise import StepNoise
from aif.train.config import TrainConfig
from aif.train.networks.modules import Discriminator, EncoderOutput, Networks

STILL = 0.1  # added to the variance of a number of z, so that one that hardly varies is not blown up


@dataclass(frozen=True)
class Optimisers:
    """One optimiser a player: encoder and decoder, discriminator, auxiliary network."""

    autoencoder: Optimizer
    discriminator: Optimizer
    auxiliary: Optimizer


def train_step(
    networks: Networks,
    optimisers: Optimisers,
    image: Tensor,
    y: Tensor,
    y_rate: Tensor,
    noise: StepNoise,
    config: TrainConfig,
    step: int,
    fabric: Fabric,
) -> dict[str, Tensor]:
    """Algorithm 1, one iteration. image (N, 3, S, S) in [0, 1], y (N, A) 0/1; returns the terms as scalars.

    Who is moved by what: L_rec and the generator's GAN term move encoder and decoder; L_KL, L_class and the
    adversarial term the encoder alone; L_gan the discriminator; L_aux the auxiliary network.
    """
    o, scale = config.objective, scales(config)
    encoder, decoder, critic, aux = (
        networks.encoder,
        networks.decoder,
        networks.discriminator,
        networks.auxiliary,
    )
    terms: dict[str, Tensor] = {}

    # encoder and decoder, with the discriminator and the auxiliary network frozen
    with frozen(critic, aux), fabric.autocast():
        code = encoder(image, y)  # z_mean, z_log_variance, y_hat <- E(x); y only where E is conditioned on it
        z = code.sample(noise.z) if o.sampled else code.mean.float()
        decoded = decode(decoder, code, z, y, noise, config)  # x_hat <- D(y_hat, z), and a sample
        reconstruction = decoded[0]

        terms["rec"] = losses.reconstruction(reconstruction, image, o.rec_loss, o.rec_focus)
        terms["kl"] = losses.kl_divergence(code.mean, code.log_variance)
        terms["class"] = losses.classification(code.y_logits, y)
        loss = o.rec_weight * scale.rec * terms["rec"] + o.alpha * scale.kl * terms["kl"]
        loss = loss + o.rho * terms["class"]
        if o.delta > 0:
            terms["gan"] = gan_term(critic, image, y, decoded, o.gan_loss)
            loss = loss + o.delta * scale.generator * terms["gan"]
        if o.matching > 0:
            real, seen = (critic.features(picture, y) for picture in (image, reconstruction))
            terms["matching"] = losses.feature_matching(real, seen)
            loss = loss + o.matching * terms["matching"]
        if o.dip_off > 0 or o.dip_diagonal > 0:
            moments = (whole(code.mean.float(), fabric), whole(code.log_variance.float(), fabric))
            terms["dip_off"], terms["dip_diagonal"] = losses.disentangled_prior(*moments, o.dip)
            loss = loss + o.dip_off * terms["dip_off"] + o.dip_diagonal * terms["dip_diagonal"]
        if o.aux_weight > 0:
            z_aux, y_aux = auxiliary_input(code, z, noise, o.aux_input, fabric), whole(y, fabric)
            terms["adversary"] = losses.encoder_adversary(aux(z_aux), y_aux, y_rate, o.aux_target)
            loss = loss + ramp(o.aux_weight, step, o.aux_ramp_steps) * terms["adversary"]
        if o.class_on_reconstruction:
            terms["class_rec"] = losses.classification(encoder(reconstruction, y).y_logits, y)
    optimisers.autoencoder.zero_grad()
    if o.class_on_reconstruction:  # reaches the encoder only
        fabric.backward(o.rho * terms["class_rec"], inputs=list(encoder.parameters()), retain_graph=True)
    fabric.backward(loss)
    update(fabric, optimisers.autoencoder, [encoder, decoder], config)

    if o.delta > 0:  # discriminator: min L_gan
        terms |= update_discriminator(networks, optimisers, image, y, decoded, config, step, fabric)

    if o.aux_weight > 0:  # auxiliary network: min L_aux
        for _ in range(o.aux_steps):
            with fabric.autocast():
                terms["aux"] = losses.auxiliary(aux(z_aux.detach()), y_aux)
            optimisers.auxiliary.zero_grad()
            fabric.backward(terms["aux"])
            update(fabric, optimisers.auxiliary, [aux], config)
    return {name: term.detach() for name, term in terms.items()}


def scales(config: TrainConfig) -> losses.Scales:
    """The factors that this configuration's reduction puts before the loss terms."""
    network = config.network
    return losses.scales(
        config.objective.reduction, config.optimiser.batch_size, network.image_size, network.latent_size
    )


def decode(
    decoder: nn.Module, code: EncoderOutput, z: Tensor, y: Tensor, noise: StepNoise, config: TrainConfig
) -> tuple[Tensor, ...]:
    """The reconstructions and, in the same pass, samples from the prior where the discriminator sees them."""
    o = config.objective
    y_in = y if o.decoder_y == "label" else code.y if o.rec_reaches_y else code.y.detach()
    if o.delta == 0:
        return (decoder(z, y_in),)
    both: Tensor = decoder(torch.cat([z, noise.z_prior]), torch.cat([y_in, y]))
    return both.chunk(2)


def gan_term(
    critic: Discriminator,
    image: Tensor,
    y: Tensor,
    decoded: tuple[Tensor, ...],
    kind: Literal["nonsaturating", "means"],
) -> Tensor:
    """What encoder and decoder minimise against the discriminator."""
    if kind == "means":
        return losses.feature_means(critic.features(image, y), critic.features(decoded[-1], y))
    return torch.stack([losses.gan_generator(critic(fake, y)[0]) for fake in decoded]).sum()


def update_discriminator(
    networks: Networks,
    optimisers: Optimisers,
    image: Tensor,
    y: Tensor,
    fakes: tuple[Tensor, ...],
    config: TrainConfig,
    step: int,
    fabric: Fabric,
) -> dict[str, Tensor]:
    """One step of the discriminator: min L_gan on real and decoded pictures; returns its terms."""
    o, critic = config.objective, networks.discriminator
    terms: dict[str, Tensor] = {}
    with fabric.autocast():
        real, y_seen = critic(image, y)
        terms["gan_real"] = losses.gan_real(real)
        terms["gan_fake"] = torch.stack(
            [losses.gan_fake(critic(fake.detach(), y)[0]) for fake in fakes]
        ).sum()
        loss = scales(config).discriminator * (terms["gan_real"] + terms["gan_fake"])
        if y_seen is not None:
            terms["critic_class"] = losses.classification(y_seen, y)
            loss = loss + terms["critic_class"]
    if o.r1_weight > 0 and step % o.r1_every == 0:
        seen = image.detach().requires_grad_()
        terms["r1"] = losses.r1_penalty(critic(seen, y)[0], seen)
        loss = loss + o.r1_weight * o.r1_every * terms["r1"]
    optimisers.discriminator.zero_grad()
    fabric.backward(loss)
    update(fabric, optimisers.discriminator, [critic], config)
    return terms


def auxiliary_input(
    code: EncoderOutput,
    z: Tensor,
    noise: StepNoise,
    kind: Literal["second", "sample", "mean"],
    fabric: Fabric,
) -> Tensor:
    """What the auxiliary network sees of the codes of all processes, (N, Z).

    The mean is standardised over the batch, and gradients pass through that: they cannot gain by scaling a
    number up or down.
    """
    if kind == "second":
        return whole(code.sample(noise.z_second), fabric)
    if kind == "sample":
        return whole(z, fabric)
    return standardised(whole(code.mean.float(), fabric))


def whole(share: Tensor, fabric: Fabric) -> Tensor:
    """The shares (N / processes, ...) of all processes as one batch (N, ...), gradients included."""
    if fabric.world_size == 1:
        return share
    return cast(Tensor, fabric.all_gather(share, sync_grads=True)).flatten(0, 1)


def standardised(z: Tensor) -> Tensor:
    """z (N, Z) with mean 0 and variance 1 over the batch, gradients included."""
    return F.batch_norm(z.float(), None, None, training=True, eps=STILL)


def ramp(weight: float, step: int, over: int) -> float:
    """`weight`, grown linearly from 0 over the first `over` steps."""
    return weight * min(1.0, (step + 1) / over) if over else weight


def update(fabric: Fabric, optimiser: Optimizer, moved: Iterable[nn.Module], config: TrainConfig) -> None:
    """Average gradients over the processes, clip their norm, and step."""
    player = nn.ModuleList(moved)
    if fabric.world_size > 1:
        gradients = [p.grad for p in player.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        flat = cast(Tensor, fabric.all_reduce(flat, reduce_op="mean"))
        sizes = [g.numel() for g in gradients]
        for gradient, part in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))
    if config.optimiser.clip is not None:
        fabric.clip_gradients(player, optimiser, max_norm=config.optimiser.clip, error_if_nonfinite=False)
    optimiser.step()


@contextlib.contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Let gradients pass through the modules without reaching their parameters."""
    for module in modules:
        module.requires_grad_(False)
    try:
        yield
    finally:
        for module in modules:
            module.requires_grad_(True)
