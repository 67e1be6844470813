"""The networks and optimisers of a shape training, as checkpoints hold them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
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
        linear: the baseline that the networks begin as.
        attributes: names of y.
        device: where they are trained.
    """

    def __init__(
        self,
        config: ShapeConfig,
        linear: tuple[LinearEncoder, LinearDecoder],
        attributes: tuple[str, ...],
        device: torch.device,
    ) -> None:
        self.config, self.device = config, device
        encoder, decoder = beginning(linear, attributes, config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            discriminator = Discriminator(decoder.size)
            auxiliary = Auxiliary(encoder.mean.out_features, len(attributes), config.algorithm1.hidden)
        for network in (encoder, decoder, discriminator):
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.players = Players(encoder, decoder, discriminator, auxiliary.to(device))
        self.ema_encoder, self.ema_decoder = Ema(encoder, config.ema), Ema(decoder, config.ema)
        self.goals: Goals | None = None
        self.step = 0
        self.phase = self._reconstruct()
        if config.reconstruct_steps == 0:
            self.begin_effect()

    @property
    def averages(self) -> tuple[ShapeEncoder, ShapeDecoder]:
        """The moving averages of encoder and decoder, in eval mode."""
        encoder, decoder = self.ema_encoder.module, self.ema_decoder.module
        assert isinstance(encoder, ShapeEncoder)
        assert isinstance(decoder, ShapeDecoder)
        return encoder, decoder

    def _reconstruct(self) -> Phase:
        """The first stage: Algorithm 1's four networks learn."""
        p, rates = self.players, self.config.rates
        p.decoder.mixing.requires_grad_(False)
        groups = [_group(p.decoder.linear.fine.parameters(), rates.maps)]
        for network in (p.encoder, p.decoder):
            trained = {name: q for name, q in network.named_parameters() if q.requires_grad}
            linear = [name for name in trained if name.startswith("linear.")]
            groups.append(_group((trained[name] for name in trained if name not in linear), rates.networks))
            rest = (trained[name] for name in linear if not name.startswith("linear.fine."))
            groups.append(_group(rest, rates.linear))
        optimisers = {"autoencoder": Adam(groups, betas=BETAS)}
        for name in ("discriminator", "auxiliary"):
            group = _group(getattr(p, name).parameters(), rates.discriminator)
            optimisers[name] = Adam([group], betas=BETAS)
        return Phase("reconstruct", 0, self.config.reconstruct_steps, optimisers)

    def begin_effect(self) -> None:
        """The third stage, with the averages of the first as its networks; only the mixing network learns."""
        encoder, decoder, config = self.players.encoder, self.players.decoder, self.config
        encoder.load_state_dict(self.ema_encoder.module.state_dict())
        decoder.load_state_dict(self.ema_decoder.module.state_dict())
        encoder.eval().requires_grad_(False)
        decoder.requires_grad_(False).mixing.requires_grad_(True)
        adam = Adam([_group(decoder.mixing.parameters(), config.rates.mixing)], betas=BETAS)
        self.phase = Phase("effect", config.reconstruct_steps, config.effect_steps, {"autoencoder": adam})

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
        tensors: dict[str, Mapping[str, Tensor]] = {
            name: module.state_dict() for name, module in self._modules().items()
        }
        for name, optimiser in self.phase.optimisers.items():
            tensors[f"optimiser_{name}"] = optimiser_tensors(optimiser)
        if self.goals is not None:
            tensors["goals"] = vars(self.goals)
        sizes = self.players.encoder.linear
        info = {
            "phase": self.phase.name,
            "components": [sizes.points.out_features, sizes.texture.out_features],
            "features": sizes.z.in_features - sizes.z.out_features,
            "texture_size": self.players.decoder.size,
        }
        save_checkpoint(folder, self.step, tensors, info)

    def resume(self, checkpoint: Path) -> None:
        """Take up a checkpoint."""
        groups, info = load_checkpoint(checkpoint)
        if info["phase"] == "effect" and self.phase.name != "effect":
            self.begin_effect()
        if info["phase"] != self.phase.name:
            raise ConfigError(f"{checkpoint} is in a stage that this configuration does not have.")
        try:
            for name, module in self._modules().items():
                module.load_state_dict(groups[name])
            for name, optimiser in self.phase.optimisers.items():
                restore_optimiser(optimiser, groups[f"optimiser_{name}"])
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{checkpoint} is of another version ({error}).", "Choose another --out."
            ) from error
        if "goals" in groups:
            self.goals = Goals(**{name: each.to(self.device) for name, each in groups["goals"].items()})
        self.step = int(info["step"])

    def _modules(self) -> dict[str, nn.Module]:
        """The networks that the stage needs: edits use no discriminator and no auxiliary network."""
        p = self.players
        found: dict[str, nn.Module] = {"encoder": p.encoder, "decoder": p.decoder}
        if self.phase.name == "reconstruct":
            found |= {"discriminator": p.discriminator, "auxiliary": p.auxiliary}
        return found | {"ema_encoder": self.ema_encoder.module, "ema_decoder": self.ema_decoder.module}


def beginning(
    linear: tuple[LinearEncoder, LinearDecoder], attributes: tuple[str, ...], config: ShapeConfig
) -> tuple[ShapeEncoder, ShapeDecoder]:
    """Encoder and decoder that do what the linear baseline does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        deep = config.reconstruct_steps > 0
        encoder = ShapeEncoder(linear[0], linear[1].size, deep)
        return encoder, ShapeDecoder(linear[1], attributes, config.effect.without, deep)


def _group(parameters: Iterable[nn.Parameter], rate: float) -> dict[str, Any]:
    return {"params": list(parameters), "lr": rate, "base": rate}
