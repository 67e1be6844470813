"""A stage on which one training step can be watched."""

import dataclasses

import pytest
import torch
from lightning.fabric import Fabric

from aif.train.algorithm.noise import draw_noise
from aif.train.algorithm.step import Optimisers, train_step
from aif.train.config import TrainConfig
from aif.train.rivals.icgan import icgan_step
from aif.train.training.players import make_optimiser
from aif.train.training.run import networks_of

PLAYERS = ("encoder", "decoder", "discriminator", "auxiliary")


def small(preset: TrainConfig, **objective: object) -> TrainConfig:
    network = dataclasses.replace(preset.network, width=8, latent_size=6, aux_hidden=16, aux_dropout=0.0)
    return dataclasses.replace(
        preset,
        network=network,
        objective=dataclasses.replace(preset.objective, **objective),
        optimiser=dataclasses.replace(preset.optimiser, batch_size=8),
        data=dataclasses.replace(preset.data, attributes=("Smiling", "Eyeglasses")),
        precision="32-true",
    )


class Stage:
    """Networks, a batch, and one training step."""

    def __init__(self, config: TrainConfig) -> None:
        torch.manual_seed(0)
        self.config = config
        self.networks = networks_of(config)
        self.image = torch.rand(8, 3, 64, 64)
        self.y = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(4, 1)
        self.rate = torch.tensor([0.5, 0.5])
        self.fabric = Fabric(accelerator="cpu", devices=1)
        self.noise = draw_noise(config, 0, slice(None), torch.device("cpu"))

    def step(self, number: int = 0) -> dict[str, torch.Tensor]:
        """One step with a learning rate so small that only gradients remain to be seen."""
        n = self.networks
        players = ([*n.encoder.parameters(), *n.decoder.parameters()], n.discriminator, n.auxiliary)
        made = [
            make_optimiser(
                dataclasses.replace(self.config.optimiser, learning_rate=1e-12),
                list(p) if isinstance(p, list) else list(p.parameters()),
            )
            for p in players
        ]
        optimisers = Optimisers(*(self.fabric.setup_optimizers(o) for o in made))
        common = (self.noise, self.config, number, self.fabric)
        if self.config.objective.method == "icgan":
            return icgan_step(n, optimisers, self.image, self.y, *common)
        return train_step(n, optimisers, self.image, self.y, self.rate, *common)

    def gradients(self) -> dict[str, torch.Tensor]:
        return {
            name: torch.cat(
                [
                    torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten()
                    for p in getattr(self.networks, name).parameters()
                ]
            ).clone()
            for name in PLAYERS
        }

    def moved(self) -> set[str]:
        """The players whose gradients are not zero."""
        return {name for name, gradient in self.gradients().items() if gradient.abs().max() > 0}


@pytest.fixture(scope="session")
def staged():
    """`staged(preset, **objective)`: a small `Stage`, with some settings of the objective changed."""
    return lambda preset, **objective: Stage(small(preset, **objective))
