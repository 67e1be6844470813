"""The methods that the paper is compared with, as presets: their losses on the same networks and data.

Each keeps what makes the method: what is conditioned on y, the losses and their weights. What it shares with
the others is the trunk, the size of z, the batch and the optimiser, so that a comparison is one of methods.
Pixels lie in [0, 1] here and in [-1, 1] in most of these papers, which makes a squared error there four times
as large; `rec_weight` makes up for it.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from aif.train.config import NetworkConfig, ObjectiveConfig, TrainConfig

YTo = tuple[Literal["encoder", "decoder", "discriminator"], ...]
YHead = Literal["trunk", "own", "code"]


def rivals(base: TrainConfig) -> tuple[TrainConfig, ...]:
    """The presets of all other methods on the networks, data and optimiser of `base`."""

    def rival(name: str, y_to: YTo, y_head: YHead, objective: ObjectiveConfig, **network: Any) -> TrainConfig:
        networks: NetworkConfig = dataclasses.replace(base.network, y_to=y_to, y_head=y_head, **network)
        return dataclasses.replace(base, preset=name, network=networks, objective=objective)

    # Bao et al. (2017): encoder and decoder are conditioned on the label; pairwise and mean feature matching,
    # no classifier. y has a trunk of its own, which moves nothing else and serves photos that bring no label.
    bao = ObjectiveConfig(
        rec_loss="mse", reduction="elbo", rec_weight=2.0, alpha=3.0, rho=1.0, delta=1e-3, gan_loss="means",
        matching=1.0, decoder_y="label", aux_weight=0.0,
    )  # fmt: skip
    # Perarnau et al. (2016): independent encoders, the better of their variants.
    icgan = ObjectiveConfig(
        method="icgan", reduction="mean", rho=1.0, delta=1.0, decoder_y="label", sampled=False,
        aux_weight=0.0,
    )  # fmt: skip
    # Lample et al. (2017): an autoencoder; the adversary wants flipped labels; its weight grows slowly.
    fader = ObjectiveConfig(
        rec_loss="mse", reduction="mean", rec_weight=4.0, alpha=0.0, rho=1.0, delta=0.0, sampled=False,
        decoder_y="label", aux_weight=1e-4, aux_target="flip", aux_input="sample",
        aux_ramp_steps=base.steps // 2,
    )  # fmt: skip
    # Kingma and Welling (2014); Higgins et al. (2017); Kumar et al. (2018): no y but a linear reading of z.
    vae = ObjectiveConfig(reduction="elbo", alpha=1.0, rho=1.0, delta=0.0, aux_weight=0.0)
    # Attributes alone: what a network of this size can tell when it does nothing else.
    classifier = ObjectiveConfig(
        rec_weight=0.0, alpha=0.0, rho=1.0, delta=0.0, aux_weight=0.0, detach_y_trunk=False, sampled=False
    )
    plain = dataclasses.replace
    return (
        rival("cvae-gan", ("encoder", "decoder"), "own", bao),
        rival("icgan", ("decoder", "discriminator"), "own", icgan),
        rival("fader", ("decoder",), "own", fader, inject_y=True, aux_dropout=0.3),
        rival("vae", (), "code", vae),
        rival("beta-vae", (), "code", plain(vae, alpha=4.0)),
        rival("dip-vae-1", (), "code", plain(vae, dip="mean", dip_off=10.0, dip_diagonal=100.0)),
        rival("dip-vae-2", (), "code", plain(vae, dip="sample", dip_off=10.0, dip_diagonal=10.0)),
        rival("classifier", ("decoder",), "trunk", classifier),
    )
