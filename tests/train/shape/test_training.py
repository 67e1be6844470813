"""Whole trainings of a few steps: what moves what, exact resuming, and what is refused."""

import dataclasses
import re
import signal

import pytest
import torch
from torch import nn

from aif.runtime.errors import CheckpointError, ConfigError
from aif.runtime.geometry import points as dense
from aif.runtime.signals import Terminated
from aif.train.algorithm.factorize import Game
from aif.train.algorithm.update import Optimisers
from aif.train.shape.best import estimate as estimates
from aif.train.shape.best import training
from aif.train.shape.best.config import Algorithm1, Effect, ShapeConfig
from aif.train.shape.best.effect import Request, mouth_term
from aif.train.shape.best.run import load_trained
from aif.train.shape.best.state import ShapeState, beginning
from aif.train.shape.best.step import algorithm1_step
from aif.train.shape.best.training import ShapeOptions, Trainer, train_shape
from aif.train.shape.faces.known import attribute_infos
from aif.train.shape.faces.store import FaceStore

CONFIG = ShapeConfig(
    reconstruct_steps=2,
    effect_steps=3,
    batch_size=4,
    game=Game(steps=2, hidden=16),
    game_faces=40,
    algorithm1=Algorithm1(hidden=16),
    effect=Effect(size=None),
)
OPTIONS = ShapeOptions(log_every=1, checkpoint_every=1, sample_every=0)


def state_of(small, config=CONFIG):
    return ShapeState(config, *beginning(small.linear, small.faces.attributes, config), torch.device("cpu"))


def quiet(line):
    pass


def test_algorithm_1_reaches_the_networks_that_it_should(small):
    state = state_of(small)
    store = FaceStore(small.faces, small.crops, torch.device("cpu"))
    p = state.players
    before = {n: {k: v.clone() for k, v in m.state_dict().items()} for n, m in vars(p).items()}
    noise = torch.randn(2, 4, p.encoder.mean.out_features)
    rate = store.y.float().mean(0)
    optimisers = Optimisers(**state.phase.optimisers)
    terms = algorithm1_step(p, optimisers, store.batch(torch.arange(4)), noise, rate, CONFIG.algorithm1)
    assert set(terms) == {"rec", "kl", "class", "gan", "adversary", "discriminator", "aux"}
    assert all(torch.isfinite(term) for term in terms.values())
    for name, network in vars(p).items():
        changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[name][k])}
        assert changed, name
    assert not {k for k in changed if "num_batches" in k}
    assert torch.equal(p.encoder.linear.z.weight, before["encoder"]["linear.z.weight"])


def test_editing_moves_the_mixing_network_alone(small, verdict):
    state = state_of(small)
    state.step = CONFIG.reconstruct_steps
    trainer = Trainer(CONFIG, state, FaceStore(small.faces, small.crops, torch.device("cpu")), verdict)
    trainer.prepare_effect(quiet)
    before = [p.clone() for p in state.players.encoder.parameters()]
    decoder = {k: v.clone() for k, v in state.players.decoder.state_dict().items()}
    verdicts = [p.clone() for p in verdict.parameters()]
    terms = trainer.one_step()
    assert set(terms) == {"verdict", "others", "mixing", "mouth", "rest"}
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.equal(a, b) for a, b in zip(before, state.players.encoder.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(verdicts, verdict.parameters(), strict=True))
    after = state.players.decoder.state_dict()
    changed = {k.split(".")[0] for k, v in decoder.items() if not torch.equal(v, after[k])}
    assert changed == {"mixing"}


def test_edits_are_trained_where_they_act(small, verdict):
    state = state_of(small)
    state.step = CONFIG.reconstruct_steps
    infos = attribute_infos(small.faces.attributes, regions={small.faces.attributes[2]: ("nose",)})
    store = FaceStore(small.faces, small.crops, torch.device("cpu"), infos)
    trainer = Trainer(CONFIG, state, store, verdict)
    trainer.prepare_effect(quiet)
    acts = trainer.editing.where(Request(torch.tensor([0, 2]), torch.ones(2), torch.zeros(2))).at_landmarks
    assert acts[:, dense.NOSE_TIP].tolist() == [1, 1]
    assert acts[:, dense.LEFT_MOUTH].tolist() == [1, pytest.approx(0, abs=0.2)]


@pytest.mark.parametrize(
    ("own", "after", "price"),
    [(1.0, 0.78, 0), (1.0, 0.67, 0.01), (0.6, 0.6, 0), (0.6, 0.5, 0.01), (1.0, 1.3, 0.04), (1.2, 1.2, 0)],
)
def test_mouths_as_wide_as_peoples_cost_nothing(own, after, price):
    def mouth(width):
        points = torch.zeros(1, dense.COUNT, 2)
        points[:, dense.RIGHT_EYE, 0] = 0.3
        points[:, dense.RIGHT_MOUTH, 0] = 0.3 * width
        return points

    assert mouth_term(mouth(own), mouth(after)).item() == pytest.approx(price, abs=1e-5)


@pytest.fixture(scope="module")
def whole(small, verdict, tmp_path_factory):
    """A training that nothing has interrupted."""
    arguments = (small.faces, small.crops, verdict, OPTIONS)
    return train_shape(CONFIG, tmp_path_factory.mktemp("whole"), *arguments, linear=small.linear, log=quiet)


@pytest.mark.parametrize("first", [1, 2, 3])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(small, verdict, whole, tmp_path, first):
    arguments = (small.faces, small.crops, verdict, OPTIONS)

    def interrupt(line):
        if f" {first} of 5" in line:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_shape(CONFIG, tmp_path / "parts", *arguments, linear=small.linear, log=interrupt)
    assert load_trained(tmp_path / "parts").step in (first, first + 1)
    parts = train_shape(CONFIG, tmp_path / "parts", *arguments, linear=small.linear, log=quiet)
    assert whole.step == parts.step == 5
    assert whole.faces_seen == 20
    for one, other in ((whole.encoder, parts.encoder), (whole.decoder, parts.decoder)):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key


def test_a_signal_between_the_stages_acts_at_once_and_loses_nothing(
    small, verdict, whole, tmp_path, monkeypatch
):
    arguments = (small.faces, small.crops, verdict, OPTIONS)

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("it went on")

    with monkeypatch.context() as patched, pytest.raises(Terminated):
        patched.setattr(training, "refit", interrupted)
        train_shape(CONFIG, tmp_path / "parts", *arguments, linear=small.linear, log=quiet)
    parts = train_shape(CONFIG, tmp_path / "parts", *arguments, linear=small.linear, log=quiet)
    assert all(torch.equal(v, parts.decoder.state_dict()[k]) for k, v in whole.decoder.state_dict().items())


def test_a_new_training_says_how_long_its_parts_take(small, monkeypatch):
    monkeypatch.setattr(estimates, "VERDICT", dataclasses.replace(estimates.VERDICT, width=8, faces=1))
    said = estimates.estimate(CONFIG, small.faces.frame, small.faces.attributes, 64, "cpu")
    assert re.fullmatch(r"about \d+ s here, .*: verdict network \d+ s, Algorithm 1 \d+ s, edits \d+ s", said)


def test_edits_can_be_trained_from_the_baseline_alone_and_composed_small(small, verdict, tmp_path):
    config = dataclasses.replace(CONFIG, reconstruct_steps=0, effect=Effect(size=32))
    options = ShapeOptions(log_every=1, checkpoint_every=1, sample_every=3)
    small_verdict = nn.Sequential(nn.Upsample(scale_factor=2), verdict)
    run = train_shape(
        config, tmp_path, small.faces, small.crops, small_verdict, options, linear=small.linear, log=quiet
    )
    assert torch.equal(run.encoder.linear.z.weight, small.linear[0].z.weight)
    assert list((tmp_path / "samples").glob("*.png"))
    assert (tmp_path / "metrics.jsonl").read_text().count("verdict") == 3


def test_what_is_refused(small, verdict, tmp_path):
    with pytest.raises(ConfigError, match="verdict"):
        train_shape(CONFIG, tmp_path / "a", small.faces, small.crops, None, OPTIONS, linear=small.linear)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_trained(tmp_path)
    one = dataclasses.replace(CONFIG, reconstruct_steps=1, effect_steps=0)
    train_shape(one, tmp_path / "b", small.faces, small.crops, None, OPTIONS, linear=small.linear, log=quiet)
    other = dataclasses.replace(one, seed=1)
    with pytest.raises(ConfigError, match="another training"):
        train_shape(other, tmp_path / "b", small.faces, small.crops, None, OPTIONS, linear=small.linear)
    state = tmp_path / "b" / "checkpoints" / "step-0000001" / "state.json"
    state.write_text("{}")
    with pytest.raises(CheckpointError):
        load_trained(tmp_path / "b")


@pytest.mark.parametrize(
    "values",
    [{"batch_size": 1}, {"reconstruct_steps": -1}, {"reconstruct_steps": 0, "effect_steps": 0}, {"ema": 1.0}],
)
def test_bad_settings_are_errors(values):
    with pytest.raises(ConfigError):
        dataclasses.replace(CONFIG, **values)


def test_settings_survive_json():
    import json

    assert ShapeConfig.from_dict(json.loads(json.dumps(CONFIG.to_dict()))) == CONFIG
    with pytest.raises(ConfigError):
        ShapeConfig.from_dict({"colour": 1})
