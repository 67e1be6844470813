"""Attributes alone: what a network of the encoder's size predicts when it does nothing else."""

from __future__ import annotations

from aif.train.algorithm import losses
from aif.train.algorithm.update import Losses, StepBatch, TrainState, detached, minimise
from aif.train.objectives import Classifier


def classifier_step(state: TrainState, batch: StepBatch, _: Classifier) -> Losses:
    """One iteration: L_class moves the encoder's trunk and y head; nothing else learns."""
    encoder = state.networks.encoder
    with state.fabric.autocast():
        found = {"class": losses.classification(encoder(batch.image).y_logits, batch.y)}
    minimise(state, found["class"], state.optimisers.autoencoder, [encoder])
    return detached(found)
