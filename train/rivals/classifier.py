"""Attributes alone: what a network of the encoder's size predicts when it does nothing else."""

from __future__ import annotations

from aif.train.algorithm import losses
from aif.train.algorithm.step import Losses, StepBatch, TrainState, detached, minimise


class ClassifierMethod:
    """L_class moves the encoder's trunk and y head; nothing else learns."""

    def step(self, state: TrainState, batch: StepBatch) -> Losses:
        """One iteration."""
        encoder = state.networks.encoder
        with state.fabric.autocast():
            found = {"class": losses.classification(encoder(batch.image).y_logits, batch.y)}
        minimise(state, found["class"], state.optimisers.autoencoder, [encoder])
        return detached(found)
