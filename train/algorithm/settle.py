"""The last part of a run: the backbone is frozen, z is clean of y, and the decoder trains on.

From here on the decoder finds the attributes in y alone. Beside reconstructing faces it learns from the
discriminator, which sees reconstructions and edited faces.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from lightning.fabric import Fabric
from torch import Tensor

from aif.train.algorithm import losses
from aif.train.algorithm.factorize import Game
from aif.train.algorithm.noise import StepNoise
from aif.train.algorithm.step import Optimisers, frozen, update, update_discriminator
from aif.train.config import TrainConfig
from aif.train.data.batch import Batch
from aif.train.networks.modules import Encoder, Networks

FACES = 40_000  # training faces that z is cleaned on, at most


def game_of(config: TrainConfig) -> Game:
    """The settings with which this run's z is cleaned."""
    s, n = config.settle, config.network
    return Game(s.game_steps, s.game_weight, s.game_match, n.aux_hidden, n.aux_dropout, config.seed)


@torch.no_grad()
def collect(
    encoder: Encoder, batches: Iterable[Batch], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Backbone features (N, F) in bfloat16, labels and predictions (N, A) of the faces.

    The encoder is left in evaluation mode.
    """
    encoder.eval()
    features, y, y_hat = [], [], []
    for batch in batches:
        image = batch.images.to(device).float().div_(255).contiguous(memory_format=torch.channels_last)
        flat = encoder.trunk(image)
        features.append(flat.to(torch.bfloat16))
        y.append(batch.y.to(device))
        y_hat.append(encoder.y(flat).float().sigmoid())
    return torch.cat(features), torch.cat(y).float(), torch.cat(y_hat)


def settled_step(
    networks: Networks,
    optimisers: Optimisers,
    image: Tensor,
    y: Tensor,
    noise: StepNoise,
    config: TrainConfig,
    step: int,
    fabric: Fabric,
) -> dict[str, Tensor]:
    """One iteration with a frozen encoder: L_dec = L_rec - delta L_gan, then the discriminator's L_gan.

    image (N, 3, S, S) in [0, 1], y (N, A) 0/1. As in use, z is the posterior mean and y the encoder's own
    prediction; edited faces have some attributes set to their other value.
    """
    o, settle = config.objective, config.settle
    encoder, decoder, critic = networks.encoder.eval(), networks.decoder, networks.discriminator
    terms: dict[str, Tensor] = {}
    with torch.no_grad(), fabric.autocast():
        code = encoder(image)
    z, y_hat = code.mean.float(), code.y
    if settle.delta == 0:
        with fabric.autocast():
            terms["rec"] = losses.reconstruction(decoder(z, y_hat), image, o.rec_loss, o.rec_focus)
        optimisers.autoencoder.zero_grad()
        fabric.backward(o.rec_weight * terms["rec"])
        update(fabric, optimisers.autoencoder, [decoder], config)
        return {"rec": terms["rec"].detach()}

    y_edit = torch.where(noise.flip, 1 - y_hat.round(), y_hat)
    with frozen(critic), fabric.autocast():
        both = decoder(
            torch.cat([z, z]), torch.cat([y_hat, y_edit])
        )  # one batch, so that batch norm sees both
        reconstruction, edited = both.chunk(2)
        terms["rec"] = losses.reconstruction(reconstruction, image, o.rec_loss, o.rec_focus)
        real, y_seen = critic(edited)
        terms["gan"] = losses.gan_generator(real) + losses.gan_generator(critic(reconstruction)[0])
        loss = o.rec_weight * terms["rec"] + settle.delta * terms["gan"]
        if settle.edit_keep > 0:
            terms["edit_keep"] = losses.edit_keep(edited, reconstruction)
            loss = loss + settle.edit_keep * terms["edit_keep"]
        if y_seen is not None:
            terms["edit_class"] = losses.classification(y_seen, y_edit)
            loss = loss + settle.edit_class * terms["edit_class"]
    optimisers.autoencoder.zero_grad()
    fabric.backward(loss)
    update(fabric, optimisers.autoencoder, [decoder], config)
    fakes = (reconstruction, edited)
    terms |= update_discriminator(networks, optimisers, image, y, fakes, config, step, fabric)
    return {name: term.detach() for name, term in terms.items()}
