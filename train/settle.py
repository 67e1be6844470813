"""The last part of a run: z is cleaned of y once and for all, and the decoder learns to live with it.

While everything moves, an auxiliary network lags behind the encoder, and what it misses stays in z. So the
trunk rests at some point. The game of Algorithm 1 is then played to its end where it is cheap: between the
one layer that makes z of the trunk's features and a fresh auxiliary network. Whatever a linear reading could
still find is removed in closed form (LEACE: Belrose et al., 2023). The decoder, which from now on finds the
attributes in y alone, goes on with the discriminator.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor, nn

from aif.train import losses
from aif.train.config import TrainConfig
from aif.train.data.batch import Batch
from aif.train.networks.context import ContextDecoder
from aif.train.networks.modules import Auxiliary, Encoder, EncoderOutput, Networks
from aif.train.noise import StepNoise
from aif.train.step import (
    Optimisers,
    frozen,
    region_weight,
    standardised,
    update,
    update_discriminator,
)

FACES = 40_000  # training faces that the game is played on, at most
GAME_BATCH, AUX_STEPS, AUX_HEAD_START, ERASE_EVERY, GAME_RATE = 512, 4, 100, 25, 3e-4


def settles_at(config: TrainConfig) -> int:
    """The first step at which the trunk rests; the number of steps where it never does."""
    return round(config.steps * config.settle.at)


@torch.no_grad()
def collect(
    encoder: Encoder, batches: Iterable[Batch], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Trunk features (N, F), labels and predictions (N, A) of the faces; the encoder is left in eval mode."""
    encoder.eval()
    features, y, y_hat = [], [], []
    for batch in batches:
        image = batch.images.to(device).float().div_(255).contiguous(memory_format=torch.channels_last)
        flat = encoder.flat(image)
        features.append(flat.to(torch.bfloat16))
        y.append(batch.y.to(device))
        y_hat.append(encoder.y(flat).float().sigmoid())
    return torch.cat(features), torch.cat(y).float(), torch.cat(y_hat)


def erasure(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map z -> z @ matrix.T + offset after which no linear reading of z tells y.

    LEACE (Belrose et al., 2023, theorem 4.3): among all such maps the one that moves the codes least, in the
    least-squares sense. z (N, Z) and y (N, A); returns float64 matrix (Z, Z) and offset (Z,).
    """
    z, y = z.double(), y.double()
    mean = z.mean(0)
    z, y = z - mean, y - y.mean(0)
    values, vectors = torch.linalg.eigh(z.T @ z / len(z))
    values = values.clamp(min=1e-6 * values.max().item())
    whiten = vectors * values.rsqrt() @ vectors.T
    colour = vectors * values.sqrt() @ vectors.T
    told, strength, _ = torch.linalg.svd(whiten @ (z.T @ y / len(z)), full_matrices=False)
    told = told[:, strength > 1e-9]
    matrix = torch.eye(len(mean), dtype=torch.float64, device=z.device) - colour @ told @ told.T @ whiten
    return matrix, mean - matrix @ mean


def factorize(head: nn.Linear, features: Tensor, y: Tensor, y_hat: Tensor, config: TrainConfig) -> None:
    """Play the game between `head` and a fresh auxiliary network to its end, and erase what is left.

    head: the layer features (N, F) -> z (N, Z), changed in place; y (N, A) 0/1; y_hat (N, A) the predictions,
    which z must not repeat either. Beside fooling the auxiliary network, the layer keeps what it said before:
    a linear map of the new z and y has to give the old z.
    """
    if config.settle.game_weight == 0:
        return
    labels = torch.cat([y, y_hat], dim=1)
    rounds, device = config.settle, features.device
    generator = torch.Generator().manual_seed(config.seed)
    rate = y.mean(0)
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(config.seed)
        aux = Auxiliary(config.network, y.shape[1]).to(device)
        restore = nn.Linear(head.out_features + y.shape[1], head.out_features).to(device)
        with torch.no_grad():
            restore.weight.copy_(torch.eye(*restore.weight.shape))
            restore.bias.zero_()
        players = [*head.parameters(), *restore.parameters()]
        mover = torch.optim.Adam(players, lr=GAME_RATE, betas=(0.5, 0.999))
        guesser = torch.optim.Adam(aux.parameters(), lr=1e-3, betas=(0.5, 0.999))
        before = nn.Linear(head.in_features, head.out_features).to(device)
        before.load_state_dict(head.state_dict())
        for step in range(rounds.game_steps):
            if step % ERASE_EVERY == 0:
                with torch.no_grad():
                    some = torch.randperm(len(y), generator=generator)[:5_000]
                    matrix, offset = (t.float() for t in erasure(head(features[some].float()), labels[some]))
            at = torch.randint(len(y), (GAME_BATCH,), generator=generator)
            seen, told = features[at].float(), y[at]
            with torch.no_grad():
                goal = before(seen)
            z = head(seen) @ matrix.T + offset
            with frozen(aux):
                adversary = losses.encoder_adversary(aux(standardised(z)), told, rate, "prior")
            if rounds.game_match > 0:
                adversary = adversary + rounds.game_match * losses.class_discrepancy(standardised(z), told)
            kept = F.mse_loss(restore(torch.cat([z, told], dim=1)), goal) / goal.var(0).mean()
            mover.zero_grad()
            torch.autograd.backward(kept + rounds.game_weight * adversary)
            mover.step()
            for _ in range(AUX_STEPS if step else AUX_HEAD_START):
                at = torch.randint(len(y), (GAME_BATCH,), generator=generator)
                with torch.no_grad():
                    z = standardised(head(features[at].float()) @ matrix.T + offset)
                guesser.zero_grad()
                torch.autograd.backward(losses.auxiliary(aux(z), y[at]))
                guesser.step()
    with torch.no_grad():
        z = torch.cat([head(part.float()) for part in torch.split(features, 4_096)])
        matrix, offset = erasure(z, labels)
        head.weight.copy_(matrix @ head.weight.double())
        head.bias.copy_(matrix @ head.bias.double() + offset)


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
    """One iteration with a resting encoder: L_dec = L_rec - delta L_gan, then the discriminator's L_gan.

    image (N, 3, S, S) in [0, 1], y (N, A) 0/1. As in use, z is the posterior mean and y the encoder's own
    prediction; the discriminator judges the reconstructions and the same faces with some attributes set to
    their other value.
    """
    o, settle = config.objective, config.settle
    encoder, decoder, critic = networks.encoder.eval(), networks.decoder, networks.discriminator
    terms: dict[str, Tensor] = {}
    with torch.no_grad(), fabric.autocast():
        code = encoder(image)
    z, y_hat = code.mean.float(), code.y
    y_asked = torch.where(noise.flip, 1 - y_hat.round(), y_hat)
    drawn = torch.ones_like(image[:, :1])
    if isinstance(decoder, ContextDecoder):  # what the edit hides is hidden from the reconstruction, too
        drawn = decoder.hiding(y_asked - y_hat)[:, :1]
    weight, attention = region_weight(drawn), critic.attention(drawn)
    with frozen(critic), fabric.autocast():
        if settle.delta > 0:
            reconstruction, edited, changed = _decode_both(decoder, code, z, y_asked)
            (real, shown), (real_too, _, maps) = critic(edited), critic.look(reconstruction)
            terms["gan"] = losses.gan_generator(real, attention) + losses.gan_generator(real_too, attention)
            loss = settle.delta * terms["gan"]
            if settle.edit_keep > 0:
                terms["edit_keep"] = losses.edit_keep(changed, reconstruction)
                loss = loss + settle.edit_keep * terms["edit_keep"]
            if settle.matching > 0:
                with torch.no_grad():
                    goal = critic.look(image)[2]
                terms["matching"] = losses.map_distance(maps, goal, weight)
                loss = loss + settle.matching * terms["matching"]
            if shown is not None:
                terms["edit_class"] = losses.classification(shown, y_asked)
                loss = loss + settle.edit_class * terms["edit_class"]
        elif isinstance(decoder, ContextDecoder):
            reconstruction, loss = decoder.redraw(z, y_hat, image, y_asked - y_hat), z.new_zeros(())
        else:
            reconstruction, loss = decoder(z, y_hat, code.features), z.new_zeros(())
        terms["rec"] = losses.reconstruction(reconstruction, image, o.rec_loss, o.rec_focus, weight)
        loss = loss + o.rec_weight * terms["rec"]
    optimisers.autoencoder.zero_grad()
    fabric.backward(loss)
    update(fabric, optimisers.autoencoder, [decoder], config)
    if settle.delta > 0:
        update_discriminator(
            networks,
            optimisers,
            image,
            y,
            (reconstruction, edited),
            config,
            step,
            fabric,
            terms,
            attention,
        )
    return {name: term.detach() for name, term in terms.items()}


def _decode_both(
    decoder: nn.Module, code: EncoderOutput, z: Tensor, y_asked: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The reconstruction, the edited face as it is shown, and the drawing of it that is to resemble the
    reconstruction."""
    if isinstance(decoder, ContextDecoder):
        edited, drawn, redrawn = decoder.edit(z, y_asked, code.features)
        return redrawn, edited, drawn
    twice = tuple(torch.cat([feature, feature]) for feature in code.features)
    reconstruction, edited = decoder(torch.cat([z, z]), torch.cat([code.y, y_asked]), twice).chunk(2)
    return reconstruction, edited, edited
