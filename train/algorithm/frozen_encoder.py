"""The last part of a run: the encoder is frozen, z is cleaned of y, and the decoder is fine-tuned.

From here on the decoder finds the attributes in y alone. Beside reconstructing faces it learns from the
discriminator, which sees reconstructions and edited faces.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from aif.train.algorithm import losses
from aif.train.algorithm.factorize import Game
from aif.train.algorithm.update import (
    Losses,
    StepBatch,
    TrainState,
    detached,
    frozen,
    minimise,
    to_device,
    update_discriminator,
)
from aif.train.config import TrainConfig
from aif.train.data.batch import Batch
from aif.train.networks.modules import Encoder
from aif.train.objectives import IfcVaeGan

FACES = 40_000
"""Training faces that z is cleaned on, at most; and no more than the training has seen."""


def game_of(config: TrainConfig) -> Game:
    """The settings with which this run's z is cleaned; a short training has a short game."""
    f, n = config.freeze, config.network
    return Game(min(f.game_steps, config.freezes_at), f.game_weight, n.aux_hidden, n.aux_dropout, config.seed)


@torch.no_grad()
def encoder_features(
    encoder: Encoder, batches: Iterable[Batch], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Backbone features (N, F) in bfloat16, labels and predictions (N, A) of the faces.

    The encoder is left in evaluation mode.
    """
    encoder.eval()
    features, y, y_hat = [], [], []
    for batch in batches:
        image, labels = to_device(batch, device)
        flat = encoder.trunk(image)
        features.append(flat.to(torch.bfloat16))
        y.append(labels)
        y_hat.append(encoder.y(flat).float().sigmoid())
    return torch.cat(features), torch.cat(y).float(), torch.cat(y_hat)


def decoder_step(state: TrainState, batch: StepBatch, o: IfcVaeGan) -> Losses:
    """One iteration with a frozen encoder: L_dec = L_rec - delta L_gan, then the discriminator's L_gan.

    As in use, z is the posterior mean and y the encoder's own prediction; edited faces have some attributes
    set to their other value.
    """
    freeze, image, fabric = state.config.freeze, batch.image, state.fabric
    encoder, decoder = state.networks.encoder.eval(), state.networks.decoder
    discriminator = state.networks.discriminator
    found: Losses = {}
    with torch.no_grad(), fabric.autocast():
        code = encoder(image)
    z, y_hat = code.mean.float(), code.y
    y_edit = torch.where(batch.noise.flip, 1 - y_hat.round(), y_hat)
    with frozen(discriminator), fabric.autocast():
        if freeze.delta > 0:  # one batch, so that batch norm sees both
            both = decoder(torch.cat([z, z]), torch.cat([y_hat, y_edit]))
            reconstruction, edited = both.chunk(2)
        else:
            reconstruction = decoder(z, y_hat)
        found["rec"] = losses.reconstruction(reconstruction, image, o.rec_loss, o.rec_focus)
        loss = o.rec_weight * found["rec"]
        if freeze.delta > 0:
            seen, rebuilt = discriminator(edited), discriminator(reconstruction)
            found["gan"] = losses.gan_generator(seen.real) + losses.gan_generator(rebuilt.real)
            loss = loss + freeze.delta * found["gan"]
            if freeze.edit_keep > 0:
                found["edit_keep"] = losses.edit_keep(edited, reconstruction)
                loss = loss + freeze.edit_keep * found["edit_keep"]
            if seen.y_logits is not None:
                found["edit_class"] = losses.classification(seen.y_logits, y_edit)
                loss = loss + freeze.edit_class * found["edit_class"]
    minimise(state, loss, state.optimisers.autoencoder, [decoder])
    if freeze.delta > 0:
        scale = losses.scales(o.reduction, state.config.optimiser.batch_size).discriminator
        found |= update_discriminator(state, batch, (reconstruction, edited), scale, o.r1_at(batch.step))
    return detached(found)
