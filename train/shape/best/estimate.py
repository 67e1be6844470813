"""How long a training of the preset `best` takes here: a few steps of each of its parts are timed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from aif.runtime.geometry import points as dense
from aif.runtime.geometry.frame import Frame
from aif.train.progress import lasting
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.state import ShapeState
from aif.train.shape.best.training import Trainer
from aif.train.shape.best.verdict import VERDICT, logits_of, train_verdict
from aif.train.shape.faces.store import FaceStore
from aif.train.shape.faces.textures import Textures

VERDICT_FACES = 256
"""Faces of the verdict network's two steps."""


def estimate(config: ShapeConfig, frame: Frame, attributes: tuple[str, ...], size: int, device: str) -> str:
    """What the parts of a training take, in words; made-up faces are learnt from, and all is thrown away."""
    rng, count = np.random.default_rng(0), 2 * VERDICT_FACES
    images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    labels = ((np.arange(count)[:, None] + np.arange(len(attributes))) % 2).astype(np.uint8)
    points = np.broadcast_to(frame.mean, (count, dense.COUNT, 2)).copy()
    faces = Textures(images, points, labels, np.arange(count), attributes, frame)
    baseline = config.linear.networks(size, len(attributes))
    state = ShapeState(config, baseline, attributes, torch.device(device))
    parts: dict[str, float] = {}

    def quiet(_: str) -> None:
        """Nothing is said of what is thrown away."""

    with tempfile.TemporaryDirectory() as folder:
        short = replace(VERDICT, faces=VERDICT_FACES)
        known, held_out = ((images[:n], labels[:n]) for n in (VERDICT_FACES, 2))
        began = monotonic()
        evaluator = train_verdict(known, held_out, attributes, Path(folder), short, device=device, log=quiet)
        if config.effect_steps:
            parts["verdict network"] = (monotonic() - began) * VERDICT.faces / VERDICT_FACES
    trainer = Trainer(config, state, FaceStore(faces, images, state.device), logits_of(evaluator))
    if config.reconstruct_steps:
        parts["Algorithm 1"] = config.reconstruct_steps * _seconds(trainer.one_step)
        state.begin_effect()
    if config.effect_steps:
        trainer.prepare_effect(quiet)
        parts["edits"] = config.effect_steps * _seconds(trainer.one_step)
    each = ", ".join(f"{name} {lasting(seconds)}" for name, seconds in parts.items())
    before = "after minutes of textures, regressions and the game of L_aux"
    return f"about {lasting(sum(parts.values()))} here, {before}: {each}"


def _seconds(step: Callable[[], dict[str, torch.Tensor]]) -> float:
    """Of the third of three steps."""
    times = []
    for _ in range(3):
        terms = step()
        sum(term.item() for term in terms.values())  # waits for the device
        times.append(monotonic())
    return times[2] - times[1]
