"""One training step of a small configuration, for looking at gradients."""

import dataclasses

import pytest
import torch
from lightning.fabric import Fabric

from aif.train.algorithm.noise import step_noise
from aif.train.algorithm.update import Losses, StepBatch
from aif.train.config import TrainConfig
from aif.train.data.synthetic import SyntheticFaces
from aif.train.training.trainer import Trainer

NETWORKS = ("encoder", "decoder", "discriminator", "auxiliary")


class OneStep:
    """A trainer and a batch; the learning rate is so small that only gradients remain to be looked at."""

    def __init__(self, preset: TrainConfig, rate: float = 1e-12, **objective: object) -> None:
        network = dataclasses.replace(
            preset.network, width=8, latent_size=6, aux_hidden=16, aux_dropout=0.0,
            detach_y=objective.pop("detach_y", preset.network.detach_y),
        )  # fmt: skip
        self.config = dataclasses.replace(
            preset,
            network=network,
            objective=dataclasses.replace(preset.objective, **objective),
            optimiser=dataclasses.replace(preset.optimiser, batch_size=8, learning_rate=rate, decay_last=0),
            data=dataclasses.replace(preset.data, attributes=("Smiling", "Eyeglasses")),
            precision="32-true",
        )
        self.trainer = Trainer(self.config, Fabric(accelerator="cpu", devices=1), torch.tensor([0.5, 0.5]))
        self.networks = self.trainer.state.networks
        noise = step_noise(self.config, 0, slice(None), torch.device("cpu"))
        image = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        self.batch = StepBatch(image, torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(4, 1), noise, 0)

    def step(self, number: int = 0) -> Losses:
        return self.trainer.step(dataclasses.replace(self.batch, step=number))

    def gradients(self) -> dict[str, torch.Tensor]:
        found = {}
        for name in NETWORKS:
            parameters = getattr(self.networks, name).parameters()
            known = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
            found[name] = torch.cat([gradient.flatten() for gradient in known])
        return found

    def moved(self) -> set[str]:
        """The networks whose gradients are not zero."""
        return {name for name, gradient in self.gradients().items() if gradient.abs().max() > 0}


@pytest.fixture(scope="session")
def faces():
    """64 synthetic faces to train on, and 16 others."""
    return SyntheticFaces(64, attributes=("Smiling",)), SyntheticFaces(16, attributes=("Smiling",), first=500)


@pytest.fixture(scope="session")
def one_step():
    """`one_step(preset, **objective)`: a small `OneStep`, with some settings of the objective changed."""
    return OneStep
