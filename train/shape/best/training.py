"""Train the shape-and-appearance model: Algorithm 1, z cleaned of y, edits trained for effect.

Resuming is exact: every random number is a function of the seed and the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from aif.runtime.signals import stop_on_signals
from aif.train.algorithm.factorize import factorize
from aif.train.algorithm.update import Optimisers
from aif.train.evaluators.evaluator import resize_area
from aif.train.progress import EVERY, FIRST, counted, lasting
from aif.train.shape.best.compose import Composer
from aif.train.shape.best.config import ShapeConfig
from aif.train.shape.best.effect import Editing, Goals, Request, effect_step
from aif.train.shape.best.networks import ShapeDecoder, ShapeEncoder
from aif.train.shape.best.refit import refit
from aif.train.shape.best.run import prepare_folder, unfitted_of
from aif.train.shape.best.samples import sample_grid
from aif.train.shape.best.state import ShapeState
from aif.train.shape.best.step import algorithm1_step
from aif.train.shape.faces.store import Faces, FaceStore
from aif.train.shape.faces.textures import Textures
from aif.train.shape.linear.fit import fit_linear
from aif.train.shape.shape_run import load_attributes, load_skin
from aif.train.training.checkpoint import list_checkpoints, load_checkpoint
from aif.train.training.logs import CHECKPOINT, FIRST_SAMPLE, STOPPING, RunLog, not_finite
from aif.train.training.run import checkpoint_folder

Verdict = Callable[[Tensor], Tensor]

GOAL_FACES = 2_000
"""Faces that tell what verdicts are typical."""


@dataclass(frozen=True)
class ShapeOptions:
    """How a training is carried out, which does not change its outcome: on which device, cpu or cuda, and how
    many steps lie between log lines, checkpoints (one more at the end of a stage and on interruption) and
    pictures of edits (some more in the first minutes; 0 = none)."""

    device: str
    log_every: int
    checkpoint_every: int
    sample_every: int


def train_shape(
    config: ShapeConfig,
    out: Path,
    faces: Textures,
    crops: npt.NDArray[np.uint8],
    verdict: Verdict | None,
    options: ShapeOptions,
    data: Mapping[str, str],
    log: Callable[[str], None] = print,
) -> None:
    """Train into the folder `out`; a training that is already there is resumed.

    SIGINT and SIGTERM end it after the step in hand, with a checkpoint, and between its stages at once.

    Args:
        out: holds what the attributes are like (`save_attributes`), and bare skin, if any edit bares it.
        faces: textures of the training split.
        crops: uint8 (N, S, S, 3) RGB crops of the same faces, as `make_crops` cuts them.
        verdict: crops (N, 3, S, S) -> logits (N, A) of the same attributes; None where effect_steps is 0.
        data: `name`, `fingerprint` and `path` of the faces, to be noted.
        log: gets a line now and then.

    Raises:
        ConfigError: `out` holds another training.
        TrainingError: a loss is no longer finite; the last checkpoint is kept.
        KeyboardInterrupt: a signal came.
    """
    infos, _ = load_attributes(out)
    skin = load_skin(out)
    folds = None if skin is None else skin.folds
    store = FaceStore(faces, crops, torch.device(options.device), infos, folds)
    prepare_folder(out, config, store, data)
    checkpoints = checkpoint_folder(out)
    state = _begin(config, checkpoints, faces, store.device, log)
    trainer = Trainer(config, state, store, verdict)
    pace = state.pace()
    with RunLog(out, state.step) as run_log, stop_on_signals(STOPPING) as stop:
        while state.step < config.steps:
            if state.step >= config.reconstruct_steps and trainer.editing is None:
                with stop.at_once():
                    trainer.prepare_effect(log)
                state.save(checkpoints)
                pace = state.pace()
            terms = trainer.one_step()
            state.step += 1
            state.average()
            stopping, step = stop.is_set(), state.step
            pace.at(step * config.batch_size)
            done = step == config.steps or stopping
            saving = step % options.checkpoint_every == 0 or step == config.reconstruct_steps or done
            saving |= pace.due("checkpoint", CHECKPOINT)
            logged = step % options.log_every == 0 or saving
            if logged or pace.due("line", EVERY, FIRST):
                values = {key: value.item() for key, value in terms.items()}
                if not all(math.isfinite(value) for value in values.values()):
                    raise not_finite(f"a loss is not finite ({_line(values)})", step, checkpoints)
                if logged:
                    run_log.scalars(step, {**values, "faces_per_second": pace.rate})
                log(
                    f"{state.phase.name} {step} of {config.steps}, {pace.rate:.1f} faces/s, "
                    f"about {lasting(pace.left)} left of this stage: {_line(values)}"
                )
            if saving:
                state.save(checkpoints)
            if options.sample_every:
                early = pace.due("sample", pace.elapsed, FIRST_SAMPLE)
                if early or done or step % options.sample_every == 0:
                    run_log.grid(step, sample_grid(*state.averages, store))
            if stopping and step < config.steps:
                log(f"stopped at step {step} of {config.steps}; the same command goes on from there")
                raise stop.interrupt()


class Trainer:
    """One step after the other, of whichever stage the training is in; `editing` is there in the third."""

    def __init__(
        self, config: ShapeConfig, state: ShapeState, store: FaceStore, verdict: Verdict | None
    ) -> None:
        self.config, self.state, self.store, self.verdict = config, state, store, verdict
        self.editing: Editing | None = None
        labels = store.y.cpu()
        self._rate = labels.float().mean(0).to(store.device)
        self._with = [[torch.nonzero(column == v).flatten() for v in (0, 1)] for column in labels.T]
        self._effects = [
            k
            for k, name in enumerate(store.attributes)
            if name not in config.effect.without and min(len(rows) for rows in self._with[k]) > 0
        ]
        if state.goals is not None:
            self._make_editing(state.goals)

    def one_step(self) -> dict[str, Tensor]:
        """The next step; returns its terms."""
        state, config = self.state, self.config
        state.phase.set_rates(state.step)
        random = torch.Generator().manual_seed((config.seed << 32) + state.step)
        if self.editing is None:
            state.players.encoder.train()
            rows = torch.randint(len(self.store), (config.batch_size,), generator=random)
            faces = self._batch(rows, random)
            codes = state.players.encoder.mean.out_features
            noise = torch.randn(2, len(rows), codes, generator=random).to(self.store.device)
            optimisers = Optimisers(**state.phase.optimisers)
            return algorithm1_step(state.players, optimisers, faces, noise, self._rate, config.algorithm1)
        request, rows = self._requests(random, self.editing.smiling)
        networks = (state.players.encoder, state.players.decoder)
        optimiser = state.phase.optimisers["autoencoder"]
        return effect_step(networks, optimiser, self._batch(rows, random), request, self.editing)

    def prepare_effect(self, log: Callable[[str], None]) -> None:
        """The second stage and the beginning of the third: z is cleaned of y; typical verdicts are found."""
        state, config, store = self.state, self.config, self.store
        if state.phase.name == "reconstruct":
            self._clean(*state.averages, log)
            state.begin_effect()
        random = torch.Generator().manual_seed(config.seed)
        rows = torch.randperm(len(store), generator=random)[:GOAL_FACES]
        assert self.verdict is not None
        with torch.no_grad():
            side = config.effect.size or store.size
            crops = (resize_area(store.batch(part).crop, side) for part in torch.split(rows, 100))
            logits = [self.verdict(crop) for crop in crops]
        state.goals = Goals.of(torch.cat(logits), store.y[rows.to(store.device)].float())
        self._make_editing(state.goals)

    @torch.no_grad()
    def _clean(self, encoder: ShapeEncoder, decoder: ShapeDecoder, log: Callable[[str], None]) -> None:
        """Algorithm 1's game of the layer that makes z and a fresh auxiliary network, the erasure, and the
        decoder's directions of y fitted to the clean z."""
        config, store = self.config, self.store
        random = torch.Generator().manual_seed(config.seed)
        # A short training has a short game, and cleans z on no more faces than it has seen.
        game = replace(config.game, steps=min(config.game.steps, config.reconstruct_steps))
        count = min(config.game_faces, max(100, config.reconstruct_steps * config.batch_size))
        rows = torch.randperm(len(store), generator=random)[:count]
        features, y_hat = [], []
        parts = torch.split(rows, 100)
        for part in counted(parts, "features of faces, in hundreds", len(parts), log):
            faces = store.batch(part)
            features.append(encoder.features(faces.texture, faces.points))
            y_hat.append(encoder.heads(features[-1]).y)
        head = encoder.mean
        known = torch.cat(features)
        head.requires_grad_(True)
        factorize(head, known, store.y[rows.to(store.device)].float(), torch.cat(y_hat), game, log)
        head.requires_grad_(False)
        refit((encoder, decoder), store, rows, head(known), config.linear.ridge, log)

    def _make_editing(self, goals: Goals) -> None:
        assert self.verdict is not None
        store, effect = self.store, self.config.effect
        composer = Composer(store.frame, store.size, effect.size, store.device, store.folds)
        self.editing = Editing(composer, self.verdict, goals, store.infos, effect)

    def _batch(self, rows: Tensor, random: torch.Generator) -> Faces:
        mirror = torch.rand(len(rows), generator=random) < 0.5
        bright = (1 + 0.1 * (2 * torch.rand(len(rows), generator=random) - 1))[:, None, None, None]
        return self.store.batch(rows, mirror, bright)

    def _requests(self, random: torch.Generator, smiling: int) -> tuple[Request, Tensor]:
        """Attributes and directions in equal shares, and faces whose labels are the other way."""
        count, device = self.config.batch_size, self.store.device
        which = torch.randint(len(self._effects), (count,), generator=random)
        attribute = torch.tensor(self._effects)[which]
        value = torch.randint(2, (count,), generator=random)
        place = torch.rand(count, generator=random)
        pools = [self._with[int(a)][1 - int(v)] for a, v in zip(attribute, value, strict=True)]
        rows = torch.stack([pool[int(u * len(pool))] for pool, u in zip(pools, place.tolist(), strict=True)])
        along = (attribute == smiling) & (value == 0) & (torch.rand(count, generator=random) < 0.8)
        share = along.float() * self.config.effect.mouth_along
        down, right = torch.randint(-2, 3, (2,), generator=random).tolist()
        request = Request(attribute.to(device), value.float().to(device), share.to(device), (down, right))
        return request, rows


def _begin(
    config: ShapeConfig, checkpoints: Path, faces: Textures, device: torch.device, log: Callable[[str], None]
) -> ShapeState:
    """The state to go on from: the newest checkpoint's, or the linear baseline."""
    found = list_checkpoints(checkpoints)
    if found:
        linear = unfitted_of(load_checkpoint(found[-1])[1], faces.size, len(faces.attributes), config)
    else:
        # A short training has a short game.
        steps = min(config.linear.game_steps, 2 * config.steps)
        linear = fit_linear(faces, replace(config.linear, game_steps=steps), log)
    state = ShapeState(config, linear, faces.attributes, device)
    if found:
        state.resume(found[-1])
        log(f"going on at step {state.step}")
    return state


def _line(values: dict[str, float]) -> str:
    return ", ".join(f"{key} {value:.3f}" for key, value in values.items())
