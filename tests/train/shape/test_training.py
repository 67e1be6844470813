"""Whole trainings of a few steps: what moves what, exact resuming, and what is refused."""

import copy
import dataclasses
import re
import signal

import numpy as np
import pytest
import torch
from torch import nn

from aif.runtime.editing.shape.bare_skin import SIDE, BareSkin
from aif.runtime.editing.shape.folds import COMMON
from aif.runtime.errors import CheckpointError, ConfigError
from aif.runtime.geometry import points as dense
from aif.runtime.signals import Terminated
from aif.train.algorithm.factorize import Game
from aif.train.algorithm.update import Optimisers
from aif.train.shape.best import estimate as estimates
from aif.train.shape.best import samples, training
from aif.train.shape.best.compose import Composer
from aif.train.shape.best.config import Algorithm1, Effect, ShapeConfig
from aif.train.shape.best.effect import MOUTH_PRICE, Editing, Request, mouth_term
from aif.train.shape.best.state import ShapeState
from aif.train.shape.best.step import algorithm1_step
from aif.train.shape.best.training import ShapeOptions, Trainer, train_shape
from aif.train.shape.faces.known import attribute_infos
from aif.train.shape.faces.store import FaceStore
from aif.train.shape.linear.fit import LinearConfig
from aif.train.shape.model import load_shape_run
from aif.train.shape.shape_run import ATTRIBUTES_FILE, save_attributes, save_skin

CONFIG = ShapeConfig(
    linear=LinearConfig(shape_components=5, texture_components=6),  # as `small` has it
    reconstruct_steps=2,
    effect_steps=3,
    batch_size=4,
    game=Game(steps=2, hidden=16),
    game_faces=40,
    algorithm1=Algorithm1(hidden=16),
    effect=Effect(size=None),
)
CPU = torch.device("cpu")
OPTIONS = ShapeOptions("cpu", log_every=1, checkpoint_every=1, sample_every=0)


def state_of(small):
    return ShapeState(CONFIG, small.linear, small.faces.attributes, CPU)


def quiet(line):
    pass


def train(small, verdict, out, config=CONFIG, options=OPTIONS, log=quiet):
    if not (out / ATTRIBUTES_FILE).exists():
        save_attributes(out, attribute_infos(small.faces.attributes, trained=True), {})
    data = {"name": "made up", "fingerprint": "0"}
    train_shape(config, out, small.faces, small.crops, verdict, options, data, log)
    return load_shape_run(out)


def test_a_run_has_its_skin(small, verdict, tmp_path):
    one = np.ones((SIDE, 3, 1), np.float32)
    skin = BareSkin(np.eye(SIDE, dtype=bool), one[:, :, 0], one, 0.5)
    save_skin(tmp_path, skin)
    assert train(small, verdict, tmp_path).skin.stored() == skin.stored()


def test_folds_of_age_are_what_edits_are_composed_with(small, verdict, tmp_path, monkeypatch):
    one, size = np.ones((SIDE, 3, 1), np.float32), small.faces.size
    folds = np.zeros((size, size), np.float32)
    folds[size // 2] = 0.125
    save_skin(tmp_path, BareSkin(np.eye(SIDE, dtype=bool), one[:, :, 0], one, 0.5, folds))
    made = []

    class Kept(Composer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(training, "Composer", Kept)
    monkeypatch.setattr(samples, "Composer", Kept)
    train(small, verdict, tmp_path, options=dataclasses.replace(OPTIONS, sample_every=1))
    assert len(made) > 1  # that of the edits, and those of pictures
    for composer in made:
        np.testing.assert_allclose(composer.folds.numpy(), COMMON * folds, atol=1e-6)


def weights(run):
    return nn.ModuleList([run.encoder, run.decoder]).state_dict()


def test_algorithm_1_reaches_the_networks_that_it_should(small):
    state = state_of(small)
    store = FaceStore(small.faces, small.crops, CPU)
    p = state.players
    before = {name: copy.deepcopy(network.state_dict()) for name, network in vars(p).items()}
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


def editing(small, verdict, infos=None):
    """The training where it has come to the edits."""
    state = state_of(small)
    state.step = CONFIG.reconstruct_steps
    trainer = Trainer(CONFIG, state, FaceStore(small.faces, small.crops, CPU, infos), verdict)
    trainer.prepare_effect(quiet)
    return state.players, trainer


def test_editing_moves_the_mixing_network_alone(small, verdict):
    players, trainer = editing(small, verdict)
    networks = nn.ModuleDict({"encoder": players.encoder, "decoder": players.decoder, "verdict": verdict})
    before = copy.deepcopy(networks.state_dict())
    terms = trainer.one_step()
    assert set(terms) == {"verdict", "others", "mixing", "mouth", "rest"}
    assert all(torch.isfinite(term) for term in terms.values())
    changed = {k for k, v in networks.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(name.startswith("decoder.mixing.") for name in changed)


def test_what_edits_mix_in_has_its_price(small, verdict):
    names = ("Young", "Smiling", "Mouth_Slightly_Open")
    _, trainer = editing(small, verdict)
    whole = trainer.editing
    effect = Effect(own=0.25, bones=3.0)
    priced = Editing(whole.composer, verdict, whole.goals, attribute_infos(names), effect)
    none = torch.zeros(2)
    found = priced.prices(Request(torch.tensor([0, 1]), none, none))
    # Of each the prices for the shape, where age is dearer, and for the texture.
    age, smile = [0.25, 1, MOUTH_PRICE], [1, 0.25, MOUTH_PRICE]
    expected = torch.tensor([[age, age], [smile, smile]])
    expected[0, 0] *= 3
    torch.testing.assert_close(found, expected)


def test_edits_are_trained_where_they_act(small, verdict):
    names = small.faces.attributes
    _, trainer = editing(small, verdict, attribute_infos(names, regions={names[2]: ("nose",)}))
    request = Request(torch.tensor([0, 2]), torch.ones(2), torch.zeros(2))
    acts = trainer.editing.where(request).at_landmarks
    assert acts[:, dense.NOSE_TIP].tolist() == [1, 1]
    _, still = editing(small, verdict, attribute_infos(names, regions={names[2]: ("nose", "colour")}))
    assert still.editing.where(request).at_landmarks[:, dense.NOSE_TIP].tolist() == [1, 0]
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
    return train(small, verdict, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("first", [1, 2, 3])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(small, verdict, whole, tmp_path, first):
    def interrupt(line):
        if f" {first} of 5" in line:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(small, verdict, tmp_path, log=interrupt)
    assert load_shape_run(tmp_path).steps in (first, first + 1)
    parts = train(small, verdict, tmp_path)
    assert whole.steps == parts.steps == 5
    assert whole.faces_seen == 20
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0, atol=0)


def test_a_signal_between_the_stages_acts_at_once_and_loses_nothing(
    small, verdict, whole, tmp_path, monkeypatch
):
    def interrupted(*arguments):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("it went on")

    with monkeypatch.context() as patched, pytest.raises(Terminated):
        patched.setattr(training, "refit", interrupted)
        train(small, verdict, tmp_path)
    torch.testing.assert_close(weights(train(small, verdict, tmp_path)), weights(whole), rtol=0, atol=0)


def test_a_new_training_says_how_long_its_parts_take(small, monkeypatch):
    monkeypatch.setattr(estimates, "VERDICT", dataclasses.replace(estimates.VERDICT, width=8, faces=1))
    said = estimates.estimate(CONFIG, small.faces.frame, small.faces.attributes, 64, "cpu")
    assert re.fullmatch(r"about \d+ s here, .*: verdict network \d+ s, Algorithm 1 \d+ s, edits \d+ s", said)


def test_edits_can_be_trained_from_the_baseline_alone_and_composed_small(small, verdict, tmp_path):
    config = dataclasses.replace(CONFIG, reconstruct_steps=0, effect=Effect(size=32))
    options = dataclasses.replace(OPTIONS, sample_every=3)
    small_verdict = nn.Sequential(nn.Upsample(scale_factor=2), verdict)
    run = train(small, small_verdict, tmp_path, config, options)
    assert torch.equal(run.encoder.linear.z.weight, small.linear[0].z.weight)
    assert list((tmp_path / "samples").glob("*.png"))
    assert (tmp_path / "metrics.jsonl").read_text().count("verdict") == 3


def test_what_is_refused(small, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_shape_run(tmp_path)
    one = dataclasses.replace(CONFIG, reconstruct_steps=1, effect_steps=0)
    train(small, None, tmp_path, one)
    with pytest.raises(ConfigError, match=r"another training \(different: seed\)"):
        train(small, None, tmp_path, dataclasses.replace(one, seed=1))
    (tmp_path / "checkpoints" / "step-0000001" / "state.json").write_text("{}")
    with pytest.raises(CheckpointError):
        load_shape_run(tmp_path)
