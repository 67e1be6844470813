"""Fader Networks (Lample et al., 2017): an autoencoder against an adversary that predicts y from z."""

from __future__ import annotations

from aif.train.algorithm import losses
from aif.train.algorithm.update import (
    Losses,
    StepBatch,
    TrainState,
    detached,
    frozen,
    gathered,
    minimise,
    ramp,
    update_auxiliary,
)
from aif.train.objectives import Fader


def fader_step(state: TrainState, batch: StepBatch, o: Fader) -> Losses:
    """One iteration of equations 3 and 4 there; the code is deterministic.

    |D(E(x), y) - x|^2 - lambda_E log P(1 - y | E(x)), then -log P(y | E(x)).
    """
    image, y = batch.image, batch.y
    encoder, decoder, aux = state.networks.encoder, state.networks.decoder, state.networks.auxiliary
    found: Losses = {}
    with frozen(aux), state.fabric.autocast():
        code = encoder(image)
        z = code.mean.float()
        found["rec"] = losses.reconstruction(decoder(z, y), image, "mse")
        found["class"] = losses.classification(code.y_logits, y)
        z_all, y_all = gathered(z, state.fabric), gathered(y, state.fabric)
        found["adversary"] = losses.auxiliary(aux(z_all), 1 - y_all)
        weight = ramp(o.aux_weight, batch.step, o.aux_ramp_steps)
        loss = o.rec_weight * found["rec"] + o.rho * found["class"] + weight * found["adversary"]
    minimise(state, loss, state.optimisers.autoencoder, [encoder, decoder])
    found["aux"] = update_auxiliary(state, z_all, y_all)
    return detached(found)
