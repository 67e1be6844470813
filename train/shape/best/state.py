"""The networks and optimisers of a shape training, as checkpoints hold them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from aif.runtime.errors import CheckpointError, ConfigError
from aif.train.networks.modules import Auxiliary
from aif.train.progress import Pace
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.effect import Goals
from aif.train.shape.best.networks import Discriminator, ShapeDecoder, ShapeEncoder
from aif.train.shape.best.step import Players
from aif.train.shape.linear.networks import LinearDecoder, LinearEncoder
from aif.train.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
)
from aif.train.training.ema import Ema

BETAS = (0.5, 0.99)


@dataclass
class Phase:
    """One stage: the optimisers that it uses, and the steps it has.

    Attributes:
        name: "reconstruct" or "effect".
        start, steps: its first step of the whole training, and how many it has.
        optimisers: by the fields of `Optimisers`; the autoencoder's alone in "effect".
    """

    name: str
    start: int
    steps: int
    optimisers: dict[str, Adam]

    def set_rates(self, step: int) -> None:
        """Learning rates at a step of the whole training: a short rise, then a cosine to a tenth."""
        progress = (step - self.start) / max(1, self.steps)
        warm = min(1.0, (step - self.start + 1) / min(50, max(1, self.steps)))
        factor = warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * factor


class ShapeState:
    """Everything that a checkpoint holds.

    Args:
        config: the training's settings.
        encoder, decoder: as they begin.
        device: where they are trained.
    """

    def __init__(
        self, config: ShapeConfig, encoder: ShapeEncoder, decoder: ShapeDecoder, device: torch.device
    ) -> None:
        self.config, self.device = config, device
        codes, attributes = encoder.mean.out_features, encoder.y.out_features
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            discriminator = Discriminator(decoder.size)
            auxiliary = Auxiliary(codes, attributes, config.algorithm1.hidden)
        layout = torch.channels_last
        for network in (encoder, decoder, discriminator):
            network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
        self.players = Players(encoder, decoder, discriminator, auxiliary.to(device))
        self.ema_encoder, self.ema_decoder = Ema(encoder, config.ema), Ema(decoder, config.ema)
        self.goals: Goals | None = None
        self.step = 0
        self.phase = self._phase("reconstruct")
        if config.reconstruct_steps == 0:
            self.begin_effect()

    @property
    def averages(self) -> tuple[ShapeEncoder, ShapeDecoder]:
        """The moving averages of encoder and decoder, in eval mode."""
        encoder, decoder = self.ema_encoder.module, self.ema_decoder.module
        assert isinstance(encoder, ShapeEncoder)
        assert isinstance(decoder, ShapeDecoder)
        return encoder, decoder

    def _phase(self, name: str) -> Phase:
        """A stage's beginning, with fresh optimisers."""
        config, p, r = self.config, self.players, self.config.rates
        p.decoder.requires_grad_(name == "reconstruct")
        p.decoder.mixing.requires_grad_(name == "effect")
        if name == "reconstruct":
            start, steps = 0, config.reconstruct_steps
            maps = list(p.decoder.linear.fine.parameters())
            groups = [_group(maps, r.maps)]
            for network in (p.encoder, p.decoder):
                linear = {id(q): q for q in network.linear.parameters()}
                others = {id(q): q for q in network.parameters() if id(q) not in linear}
                groups.append(_group(_trained(others.values()), r.networks))
                groups.append(_group([q for q in _trained(linear.values()) if q not in set(maps)], r.linear))
        else:
            start, steps = config.reconstruct_steps, config.effect_steps
            groups = [_group(list(p.decoder.mixing.parameters()), r.mixing)]
        learning = {"autoencoder": groups}
        if name == "reconstruct":
            for player in ("discriminator", "auxiliary"):
                learning[player] = [_group(list(getattr(p, player).parameters()), r.discriminator)]
        optimisers = {player: Adam(groups, lr=r.networks, betas=BETAS) for player, groups in learning.items()}
        return Phase(name, start, steps, optimisers)

    def begin_effect(self) -> None:
        """The third stage, with the averages of the first as its networks and the encoder at rest."""
        self.players.encoder.load_state_dict(self.ema_encoder.module.state_dict())
        self.players.decoder.load_state_dict(self.ema_decoder.module.state_dict())
        self.players.encoder.eval().requires_grad_(False)
        self.phase = self._phase("effect")

    def average(self) -> None:
        """Move the averages after a step."""
        number = self.step - self.phase.start
        if self.phase.name == "reconstruct":
            self.ema_encoder.update(self.players.encoder, number)
        self.ema_decoder.update(self.players.decoder, number)

    def pace(self) -> Pace:
        """How far the stage is, in faces."""
        batch = self.config.batch_size
        return Pace(self.step * batch, (self.phase.start + self.phase.steps) * batch)

    def save(self, folder: Path) -> None:
        """Write a checkpoint."""
        tensors: dict[str, dict[str, Tensor]] = {
            name: dict(module.state_dict()) for name, module in self._modules().items()
        }
        for name, optimiser in self.phase.optimisers.items():
            tensors[f"optimiser_{name}"] = optimiser_tensors(optimiser)
        if self.goals is not None:
            tensors["goals"] = {"absent": self.goals.absent, "present": self.goals.present}
        sizes = self.players.encoder.linear
        info = {
            "phase": self.phase.name,
            "components": [sizes.points.out_features, sizes.texture.out_features],
            "features": sizes.z.in_features - sizes.z.out_features,
            "texture_size": self.players.decoder.size,
        }
        save_checkpoint(folder, self.step, tensors, info)

    def resume(self, folder: Path) -> bool:
        """Take up the newest checkpoint; False where there is none."""
        found = list_checkpoints(folder)
        if not found:
            return False
        groups, info = load_checkpoint(found[-1])
        if info["phase"] == "effect" and self.phase.name != "effect":
            self.begin_effect()
        if info["phase"] != self.phase.name:
            raise ConfigError(f"{found[-1]} is in a stage that this configuration does not have.")
        try:
            for name, module in self._modules().items():
                module.load_state_dict(groups[name])
            for name, optimiser in self.phase.optimisers.items():
                restore_optimiser(optimiser, groups[f"optimiser_{name}"])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{found[-1]} is of another version ({error}).", "Choose another --out."
            ) from error
        if "goals" in groups:
            goals = groups["goals"]
            self.goals = Goals(goals["absent"].to(self.device), goals["present"].to(self.device))
        self.step = int(info["step"])
        return True

    def _modules(self) -> dict[str, nn.Module]:
        """The networks that the stage needs: edits use no discriminator and no auxiliary network."""
        names = (
            "encoder",
            "decoder",
            *(("discriminator", "auxiliary") if self.phase.name == "reconstruct" else ()),
        )
        averages = {"ema_encoder": self.ema_encoder.module, "ema_decoder": self.ema_decoder.module}
        return {name: getattr(self.players, name) for name in names} | averages


def beginning(
    linear: tuple[LinearEncoder, LinearDecoder], attributes: tuple[str, ...], config: ShapeConfig
) -> tuple[ShapeEncoder, ShapeDecoder]:
    """Encoder and decoder that do what the linear baseline does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        deep = config.reconstruct_steps > 0
        encoder = ShapeEncoder(linear[0], linear[1].size, deep)
        return encoder, ShapeDecoder(linear[1], attributes, config.effect.without, deep)


def _group(parameters: list[nn.Parameter], rate: float) -> dict[str, Any]:
    return {"params": parameters, "lr": rate, "base": rate}


def _trained(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [p for p in parameters if p.requires_grad]
