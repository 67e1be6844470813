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
from aif.train.shape.best.state import ShapeState, beginning
from aif.train.shape.best.training import Trainer
from aif.train.shape.best.verdict import VERDICT, Verdict, train_verdict
from aif.train.shape.faces.store import FaceStore
from aif.train.shape.faces.textures import Textures
from aif.train.shape.linear.networks import LinearDecoder, LinearEncoder

VERDICT_FACES = 256
"""Faces of the verdict network's two steps."""


def estimate(config: ShapeConfig, frame: Frame, attributes: tuple[str, ...], size: int, device: str) -> str:
    """What the parts of a training take, in words; made-up faces are learnt from, and all is thrown away."""
    rng, count = np.random.default_rng(0), 2 * VERDICT_FACES
    images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    labels = (np.arange(count)[:, None] + np.arange(len(attributes))) % 2
    points = np.broadcast_to(frame.mean, (count, dense.COUNT, 2)).copy()
    faces = Textures(images, points, labels.astype(np.uint8), np.arange(count), attributes, frame)
    store = FaceStore(faces, images, torch.device(device))
    c = config.linear
    linear = LinearEncoder(size, c.shape_components, c.texture_components, len(attributes), c.features)
    baseline = LinearDecoder(size, linear.z.out_features, len(attributes))
    state = ShapeState(config, *beginning((linear, baseline), attributes, config), torch.device(device))
    parts: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        short = replace(VERDICT, faces=VERDICT_FACES)
        known = (images[:VERDICT_FACES], faces.labels[:VERDICT_FACES])
        began = monotonic()
        evaluator = train_verdict(
            known, (images[:2], faces.labels[:2]), attributes, Path(folder), short, device=device, log=_quiet
        )
        if config.effect_steps:
            parts["verdict network"] = (monotonic() - began) * VERDICT.faces / VERDICT_FACES
    trainer = Trainer(config, state, store, Verdict(evaluator, attributes).to(device))
    if config.reconstruct_steps:
        parts["Algorithm 1"] = config.reconstruct_steps * _seconds(trainer.one_step, device)
        state.begin_effect()
    if config.effect_steps:
        trainer.prepare_effect(_quiet)
        parts["edits"] = config.effect_steps * _seconds(trainer.one_step, device)
    each = ", ".join(f"{name} {lasting(seconds)}" for name, seconds in parts.items())
    before = "after minutes of textures, regressions and the game of L_aux"
    return f"about {lasting(sum(parts.values()))} here, {before}: {each}"


def _seconds(step: Callable[[], object], device: str) -> float:
    """Of the third of three steps."""
    step()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    began = monotonic()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return monotonic() - began


def _quiet(_: str) -> None:
    """Nothing is said of what is thrown away."""
