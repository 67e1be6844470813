"""Training throughput against the authors' settings written down in plain PyTorch, in one run."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor
from torch.optim import RMSprop

from aif.runtime.bench.measure import Rounds
from aif.train.algorithm.noise import step_noise
from aif.train.algorithm.update import StepBatch
from aif.train.config import TrainConfig
from aif.train.objectives import IfcVaeGan
from aif.train.presets import AUTHORS
from aif.train.training.fabric import resolve_precision
from aif.train.training.run import networks_of
from aif.train.training.trainer import Trainer


@dataclass(frozen=True)
class Throughput:
    """Faces per second of one way to train the authors' networks, and the ratio to plain PyTorch."""

    name: str
    faces_per_second: float
    ratio: float


def bench_training(
    width: int = 64, batch_size: int = 64, rounds: int = 3, seconds: float = 4.0
) -> list[Throughput]:
    """Time training steps of the authors' networks on random pictures, on the CPU.

    They take turns for `rounds` rounds of `seconds` each, and each one's median counts, so that a
    disturbance hits all alike. Decoding of images is left out in all.

    Raises:
        ConfigError: fewer than one round, or no time.
    """
    turns = Rounds(rounds, seconds)
    config = dataclasses.replace(
        AUTHORS,
        network=dataclasses.replace(AUTHORS.network, width=width),
        optimiser=dataclasses.replace(AUTHORS.optimiser, batch_size=batch_size),
    )
    steps: dict[str, Callable[[], None]] = {
        "plain PyTorch": _plain_step(config),
        "aif, 32-true": _our_step(config),
        "aif, bf16-mixed": _our_step(dataclasses.replace(config, precision="bf16-mixed")),
    }
    for step in steps.values():
        step()
    found = turns.take_turns({name: partial(turns.repeat, step) for name, step in steps.items()})
    medians = {
        name: statistics.median(batch_size * len(times) / sum(times) for times in rounds)
        for name, rounds in found.items()
    }
    plain = medians["plain PyTorch"]
    return [Throughput(name, value, value / plain) for name, value in medians.items()]


def _batch(config: TrainConfig) -> tuple[Tensor, Tensor]:
    size, n = config.network.image_size, config.optimiser.batch_size
    return torch.rand(n, 3, size, size), (torch.rand(n, 1) < 0.5).float()


def _our_step(config: TrainConfig) -> Callable[[], None]:
    """A step as the loop takes it."""
    fabric = Fabric(accelerator="cpu", devices=1, precision=resolve_precision(config.precision, "cpu"))
    trainer = Trainer(config, fabric, torch.tensor([0.5]))
    image, y = _batch(config)
    image = image.contiguous(memory_format=torch.channels_last)
    counter = itertools.count()

    def step() -> None:
        number = next(counter)
        noise = step_noise(config, number, slice(None), torch.device("cpu"))
        trainer.step(StepBatch(image, y, noise, number))

    return step


def _plain_step(config: TrainConfig) -> Callable[[], None]:
    """The same step as a straightforward script has it.

    float32, default layout, single-tensor optimisers, reconstructions and samples decoded in two calls, and
    gradients of the discriminator and the auxiliary network computed (and dropped) in the encoder's step.
    """
    latent, o = config.network.latent_size, config.objective
    assert isinstance(o, IfcVaeGan)
    n = networks_of(config)
    rms = partial(RMSprop, lr=2e-4, alpha=config.optimiser.smoothing, foreach=False)
    autoencoder = rms([*n.encoder.parameters(), *n.decoder.parameters()])
    gan, auxiliary = rms(n.discriminator.parameters()), rms(n.auxiliary.parameters())
    image, y = _batch(config)
    side = config.network.image_size

    def move(optimiser: RMSprop, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def step() -> None:
        code = n.encoder(image)
        z = code.sample(torch.randn(len(y), latent))
        z_second = code.sample(torch.randn(len(y), latent))
        rec = n.decoder(z, code.y)
        sample = n.decoder(torch.randn(len(y), latent), y)
        l_rec = F.binary_cross_entropy(rec, image, reduction="sum") / side**2
        variance = code.log_variance
        l_kl = -0.5 * (1 + variance - code.mean.square() - variance.exp()).sum() / latent
        l_class = F.binary_cross_entropy_with_logits(code.y_logits, y)
        l_gan = sum(F.softplus(-n.discriminator(picture).real).mean() for picture in (rec, sample))
        l_aux = F.binary_cross_entropy_with_logits(n.auxiliary(z_second), y)
        move(autoencoder, l_rec + o.alpha * l_kl + o.rho * l_class + o.delta * l_gan - l_aux)
        real = F.softplus(-n.discriminator(image).real).mean()
        fake = sum(F.softplus(n.discriminator(picture.detach()).real).mean() for picture in (rec, sample))
        move(gan, real + fake)
        move(auxiliary, F.binary_cross_entropy_with_logits(n.auxiliary(z_second.detach()), y))

    return step
