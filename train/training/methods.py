"""Which step a configuration trains with: Algorithm 1, or that of a rival."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aif.train.algorithm.algorithm_1 import algorithm_1
from aif.train.algorithm.frozen_encoder import decoder_step
from aif.train.algorithm.step import Losses, StepBatch, TrainState
from aif.train.objectives import Algorithm1, CvaeGan, Fader, IcGan, Objective, Vae
from aif.train.rivals.classifier import ClassifierMethod
from aif.train.rivals.cvae_gan import CvaeGanMethod
from aif.train.rivals.fader import FaderMethod
from aif.train.rivals.icgan import IcGanMethod
from aif.train.rivals.vae import VaeMethod


class Method(Protocol):
    """A way to train the networks."""

    def step(self, state: TrainState, batch: StepBatch) -> Losses:
        """One iteration: moves the networks, returns the losses."""


@dataclass(frozen=True)
class IfcVaeGanMethod:
    """Algorithm 1; from the step at which the encoder is frozen, the decoder's fine-tuning."""

    objective: Algorithm1

    def step(self, state: TrainState, batch: StepBatch) -> Losses:
        """One iteration of the part that the step belongs to."""
        part = algorithm_1 if batch.step < state.config.freezes_at else decoder_step
        return part(state, batch, self.objective)


def method_of(objective: Objective) -> Method:
    """The method whose settings these are."""
    match objective:
        case Algorithm1():
            return IfcVaeGanMethod(objective)
        case CvaeGan():
            return CvaeGanMethod(objective)
        case IcGan():
            return IcGanMethod(objective)
        case Fader():
            return FaderMethod(objective)
        case Vae():
            return VaeMethod(objective)
    return ClassifierMethod()
