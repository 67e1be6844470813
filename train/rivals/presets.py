"""The methods that the paper is compared with, as presets on the same networks and data.

Each keeps what makes the method: what is conditioned on y, the losses and their weights. What it shares with
the others is the trunk, the size of z, the batch and the optimiser, so that a comparison is one of methods.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from aif.train.config import TrainConfig
from aif.train.objectives import Classifier, CvaeGan, Fader, IcGan, Objective, Vae


def rivals(base: TrainConfig) -> tuple[TrainConfig, ...]:
    """The presets of all other methods on the networks, data and optimiser of `base`."""

    def rival(name: str, objective: Objective, **network: Any) -> TrainConfig:
        networks = dataclasses.replace(base.network, **network)
        return dataclasses.replace(base, preset=name, network=networks, objective=objective)

    code: dict[str, Any] = {"y_to": (), "y_head": "code"}
    own: dict[str, Any] = {"y_head": "own"}  # a trunk for y alone: photos in use bring no label
    fader = Fader(aux_ramp_steps=base.steps // 2)
    return (
        rival("cvae-gan", CvaeGan(), y_to=("encoder", "decoder"), **own),
        dataclasses.replace(  # Adam and batch norm there, too: without them its GAN does not begin to learn
            rival("icgan", IcGan(), y_to=("decoder", "discriminator"), discriminator_norm="batch", **own),
            optimiser=dataclasses.replace(base.optimiser, name="adam"),
        ),
        rival("fader", fader, inject_y=True, aux_dropout=0.3, **own),
        rival("vae", Vae(), **code),
        rival("beta-vae", Vae(beta=4.0), **code),
        rival("dip-vae-1", Vae(dip="mean", dip_off=10.0, dip_diagonal=100.0), **code),
        rival("dip-vae-2", Vae(dip="sample", dip_off=10.0, dip_diagonal=10.0), **code),
        rival("classifier", Classifier()),
    )
