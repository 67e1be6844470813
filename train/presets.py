"""Named starting points for models of whole crops. `docs/decisions/training.md` says why `whole` is as it is.

The presets of models of shape and appearance, `best` and `linear`, are `aif.train.shape`'s own.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from aif.runtime.errors import ConfigError, nearest_names
from aif.train.config import DataConfig, FreezeConfig, NetworkConfig, OptimiserConfig, TrainConfig
from aif.train.objectives import Classifier, CvaeGan, Fader, IcGan, IfcVaeGan, Objective, Vae


def _variant(of: TrainConfig, name: str, **objective: Any) -> TrainConfig:
    """The preset `of` under another name, with some of its objective's settings changed."""
    return dataclasses.replace(of, preset=name, objective=dataclasses.replace(of.objective, **objective))


AUTHORS = TrainConfig(preset="authors", data=DataConfig(crop="authors"), steps=25_433)
"""The authors' released 64 px experiment (Table 1: rho 0.1, delta 0.1, alpha 0.2)."""

PAPER = dataclasses.replace(
    AUTHORS,
    preset="paper",
    network=NetworkConfig(detach_y=False),
    objective=IfcVaeGan(aux_input="sample"),
)
"""The printed equations: one sample of z serves decoder and auxiliary, L_class trains the whole encoder."""

RESIDUAL = TrainConfig(
    preset="residual",
    network=NetworkConfig(kind="residual", width=32, latent_size=128, detach_y=False),
    objective=IfcVaeGan(rho=1.0, delta=0.005, alpha=0.005, aux_target="prior", aux_ramp_steps=1_000),
    optimiser=OptimiserConfig(ema_decay=0.999),
    precision="auto",
)
"""Tables 2 and 3 (residual layers, rho 1.0, delta 0.005, alpha 0.005), with a bounded encoder adversary."""

RESIDUAL_FROZEN = dataclasses.replace(
    RESIDUAL,
    preset="residual-frozen",
    optimiser=dataclasses.replace(RESIDUAL.optimiser, decay_last=0.34),
    freeze=FreezeConfig(at=0.66, game_steps=1_500, game_weight=0.2, delta=0.0005),
)
"""`residual`; for the last third the encoder is frozen, z is cleaned, and the decoder is fine-tuned."""

WHOLE = TrainConfig(
    preset="whole",
    network=NetworkConfig(
        kind="residual", width=32, latent_size=256, inject_y=True, detach_y=False, aux_hidden=512,
        aux_dropout=0.1,
    ),
    objective=IfcVaeGan(
        rec_loss="l1", reduction="mean", rec_weight=100.0, rec_focus=2.0, alpha=0.5, rho=1.0, delta=0.0,
        aux_weight=0.5, aux_target="prior", aux_input="mean", aux_ramp_steps=1_000, aux_steps=3,
        decoder_y="label", r1_weight=0.05,
    ),
    optimiser=OptimiserConfig(
        name="adam", learning_rate=7e-4, batch_size=32, ema_decay=0.999, clip=50.0, decay_last=0.3
    ),
    data=DataConfig(flip=True, jitter=1.0, balance=True),
    freeze=FreezeConfig(
        at=0.67, game_steps=1_000, game_weight=0.2, delta=0.2, edit_class=0.4, edit_keep=40.0
    ),
    steps=22_500,
    precision="auto",
)  # fmt: skip
"""A large code and L1; z is cleaned once the encoder is frozen, then the decoder fine-tuned on edits."""

ABLATIONS = (
    _variant(AUTHORS, "authors-no-aux", aux_weight=0.0),
    _variant(AUTHORS, "authors-class-rec", class_on_reconstruction=True),
    _variant(RESIDUAL, "residual-rho-0.1", rho=0.1),
    _variant(RESIDUAL, "residual-no-aux", aux_weight=0.0),
    _variant(RESIDUAL, "residual-class-rec", class_on_reconstruction=True),
    _variant(RESIDUAL, "residual-no-kl", alpha=0.0),
    _variant(RESIDUAL, "residual-no-gan", delta=0.0),
    _variant(RESIDUAL, "residual-alpha-0.1", alpha=0.1),
    dataclasses.replace(
        _variant(WHOLE, "whole-no-aux", aux_weight=0.0),
        freeze=dataclasses.replace(WHOLE.freeze, game_weight=0.0),
    ),
)
"""One thing changed in each: without L_aux, with L_class on the reconstruction too, without L_KL, ..."""


def _rival(name: str, objective: Objective, **network: Any) -> TrainConfig:
    """Another method on the networks, data and optimiser of `residual`, so that only methods are compared."""
    networks = dataclasses.replace(RESIDUAL.network, **network)
    return dataclasses.replace(RESIDUAL, preset=name, network=networks, objective=objective)


_CODE: dict[str, Any] = {"y_to": (), "y_head": "code"}
_OWN: dict[str, Any] = {"y_head": "own"}  # a trunk for y alone: photos in use bring no label

RIVALS = (
    _rival("cvae-gan", CvaeGan(), y_to=("encoder", "decoder"), **_OWN),
    dataclasses.replace(  # Adam and batch norm there, too: without them its GAN does not begin to learn
        _rival("icgan", IcGan(), y_to=("decoder", "discriminator"), discriminator_norm="batch", **_OWN),
        optimiser=dataclasses.replace(RESIDUAL.optimiser, name="adam"),
    ),
    _rival("fader", Fader(aux_ramp_steps=RESIDUAL.steps // 2), inject_y=True, aux_dropout=0.3, **_OWN),
    _rival("vae", Vae(), **_CODE),
    _rival("beta-vae", Vae(beta=4.0), **_CODE),
    _rival("dip-vae-1", Vae(dip="mean", dip_off=10.0, dip_diagonal=100.0), **_CODE),
    _rival("dip-vae-2", Vae(dip="sample", dip_off=10.0, dip_diagonal=10.0), **_CODE),
    _rival("classifier", Classifier()),
)
"""The methods that the paper is compared with: what is conditioned on y, the losses and their weights."""

_EVERY = (AUTHORS, PAPER, RESIDUAL, RESIDUAL_FROZEN, WHOLE, *ABLATIONS, *RIVALS)
PRESETS = {preset.preset: preset for preset in _EVERY}

SHAPE_PRESETS = ("best", "linear")
"""Names of the presets of shape and appearance, which have no `TrainConfig`."""


def get_preset(name: str) -> TrainConfig:
    """The preset called `name`, of a model of whole crops.

    Raises:
        ConfigError: there is none; the nearest names are given.
    """
    if name in SHAPE_PRESETS:
        raise ConfigError(f"The preset {name!r} models shape and appearance.", "Train it with aif-train.")
    if name not in PRESETS:
        known = (*PRESETS, *SHAPE_PRESETS)
        raise ConfigError(f"There is no preset {name!r}.", nearest_names(name, known))
    return PRESETS[name]
