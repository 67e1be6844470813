"""Which step a configuration trains with: Algorithm 1, or that of a rival."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aif.train.algorithm.algorithm_1 import algorithm_1
from aif.train.algorithm.frozen_encoder import decoder_step
from aif.train.algorithm.update import Losses, StepBatch, TrainState
from aif.train.rivals.classifier import classifier_step
from aif.train.rivals.cvae_gan import cvae_gan_step
from aif.train.rivals.fader import fader_step
from aif.train.rivals.icgan import icgan_step
from aif.train.rivals.vae import vae_step

RIVALS: dict[str, Callable[[TrainState, StepBatch, Any], Losses]] = {
    "cvae-gan": cvae_gan_step,
    "icgan": icgan_step,
    "fader": fader_step,
    "vae": vae_step,
    "classifier": classifier_step,
}
"""By the `method` of the settings that the step takes."""


def training_step(state: TrainState, batch: StepBatch) -> Losses:
    """One iteration of the method that is configured: updates the networks, returns the losses.

    Algorithm 1 gives way to the decoder's fine-tuning at the step where the encoder is frozen.
    """
    objective: Any = state.config.objective
    if objective.method in RIVALS:
        return RIVALS[objective.method](state, batch, objective)
    part = algorithm_1 if batch.step < state.config.freezes_at else decoder_step
    return part(state, batch, objective)
