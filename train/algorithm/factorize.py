"""Take the attributes out of z once the backbone is frozen: adversarial training, then an erasure.

While everything moves, an auxiliary network lags behind the encoder, and what it misses stays in z. With the
backbone frozen the game of Algorithm 1 is cheap enough to converge: it is between the one layer that makes z
of the backbone's features and a fresh auxiliary network. What a linear probe could still find is erased in
closed form (LEACE: Belrose et al., 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.train.algorithm import losses
from aif.train.algorithm.update import frozen, standardised
from aif.train.networks.modules import Auxiliary
from aif.train.progress import counted

BATCH, AUX_STEPS, AUX_HEAD_START, ERASE_EVERY = 512, 4, 100, 25
RATE, AUX_RATE, BETAS = 3e-4, 1e-3, (0.5, 0.999)


@dataclass(frozen=True)
class Game:
    """Settings of `factorize`."""

    steps: int = 400
    """Steps of the layer that makes z; the auxiliary network takes four to each."""
    weight: float = 0.1
    """Weight of the adversarial term; what z loses is counted in shares of its variance. 0 = no game and no
    erasure."""
    hidden: int = 512
    """Units of each of the auxiliary network's two hidden layers."""
    dropout: float = 0.1
    """Dropout rate in the auxiliary network."""
    seed: int = 0
    """Seed of everything random."""


def factorize(
    head: nn.Linear,
    features: Tensor,
    y: Tensor,
    y_hat: Tensor,
    game: Game,
    log: Callable[[str], None] = print,
) -> None:
    """Train `head` against a fresh auxiliary network, then erase what a linear probe would find.

    Beside fooling the auxiliary network, the layer keeps its information: a linear map of the new z and y has
    to give the old z. The caller's random numbers are left alone.

    Args:
        head: the layer features (N, F) -> z (N, Z), changed in place.
        y, y_hat: (N, A), the labels and the encoder's predictions, which z must not repeat either.
        log: gets a line now and then.
    """
    if game.weight == 0:
        return
    labels = torch.cat([y, y_hat], dim=1)
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(game.seed)
        _train_against(head, features, y, labels, game, log)
    with torch.no_grad():
        z = torch.cat([head(part.float()) for part in torch.split(features, 4_096)])
        matrix, offset = erasure(z, labels)
        head.weight.copy_(matrix @ head.weight.double())
        head.bias.copy_(matrix @ head.bias.double() + offset)


def erasure(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map z -> z @ matrix.T + offset after which no linear probe of z predicts y.

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
    found, strength, _ = torch.linalg.svd(whiten @ (z.T @ y / len(z)), full_matrices=False)
    found = found[:, strength > 1e-9]
    matrix = torch.eye(len(mean), dtype=torch.float64, device=z.device) - colour @ found @ found.T @ whiten
    return matrix, mean - matrix @ mean


def _train_against(
    head: nn.Linear,
    features: Tensor,
    y: Tensor,
    labels: Tensor,
    game: Game,
    log: Callable[[str], None],
) -> None:
    """Every step: the layer against the network as it is, then the network on the layer as it is.

    What a linear probe reads is erased from the codes of both first, so that they learn about the rest.
    """
    device, generator = features.device, torch.Generator().manual_seed(game.seed)
    rate = y.mean(0)
    aux = Auxiliary(head.out_features, y.shape[1], game.hidden, game.dropout).to(device)
    restore = nn.Linear(head.out_features + y.shape[1], head.out_features).to(device)
    with torch.no_grad():
        restore.weight.copy_(torch.eye(*restore.weight.shape))
        restore.bias.zero_()
    before = nn.Linear(head.in_features, head.out_features).to(device)
    before.load_state_dict(head.state_dict())
    layer = torch.optim.Adam([*head.parameters(), *restore.parameters()], lr=RATE, betas=BETAS)
    aux_optimiser = torch.optim.Adam(aux.parameters(), lr=AUX_RATE, betas=BETAS)
    for step in counted(range(game.steps), "taking the attributes out of z", game.steps, log):
        if step % ERASE_EVERY == 0:
            with torch.no_grad():
                some = torch.randperm(len(y), generator=generator)[:5_000]
                matrix, offset = (t.float() for t in erasure(head(features[some].float()), labels[some]))
        at = torch.randint(len(y), (BATCH,), generator=generator)
        seen, truth = features[at].float(), y[at]
        with torch.no_grad():
            goal = before(seen)
        z = head(seen) @ matrix.T + offset
        with frozen(aux):
            adversary = losses.encoder_adversary(aux(standardised(z)), truth, rate, "prior")
        kept = F.mse_loss(restore(torch.cat([z, truth], dim=1)), goal) / goal.var(0).mean()
        layer.zero_grad()
        torch.autograd.backward(kept + game.weight * adversary)
        layer.step()
        for _ in range(AUX_STEPS if step else AUX_HEAD_START):
            at = torch.randint(len(y), (BATCH,), generator=generator)
            with torch.no_grad():
                z = standardised(head(features[at].float()) @ matrix.T + offset)
            aux_optimiser.zero_grad()
            torch.autograd.backward(losses.auxiliary(aux(z), y[at]))
            aux_optimiser.step()
