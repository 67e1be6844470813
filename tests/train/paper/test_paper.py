"""The paper's evidence: budgets, what is done once, and that every table can be filled."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from aif.runtime.errors import ConfigError, UnknownAttributeError
from aif.runtime.model.model import Decoded, Encoding
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluation.paper_protocol import paper_protocol
from aif.train.evaluators.evaluator import AttributeScore, Evaluator, evaluator_network
from aif.train.paper import experiment as experiments
from aif.train.paper.budget import Budget, configure, make_budget
from aif.train.paper.columns import column
from aif.train.paper.exhibits import EXHIBITS, System, find_exhibits
from aif.train.paper.experiment import Experiment, checkpoint_hash, folder_hash, system
from aif.train.paper.measures import Effort, Instruments
from aif.train.paper.report import Picture, Table
from aif.train.paper.study import Study, report, reproduce
from aif.train.presets import PRESETS
from aif.train.training.loop import LoopOptions

NAMES = ("Smiling", "Eyeglasses")


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda e: e.name)
def test_every_exhibit_shows_presets_and_measures_that_there_are(exhibit):
    for shown in exhibit.systems:
        assert shown.preset in PRESETS
    for key in exhibit.columns:
        found = column(key.replace("{a}", "Smiling"))
        assert found.key == key.replace("{a}", "Smiling") and found.label and found.definition.endswith(".")
        assert "{" not in found.label + found.definition


@pytest.mark.parametrize(
    "key", ["", "nonsense", "Smiling.up.decoded", "Smiling.on.pasted", "probe.deep.mean.Smiling"]
)
def test_unknown_measures_have_no_column(key):
    with pytest.raises(KeyError):
        column(key)


@pytest.mark.parametrize(
    ("name", "synthetic", "count", "message"),
    [
        ("all", True, 13, None),
        ("all", False, 12, None),
        ("table1", False, 1, None),
        ("tabel1", False, 0, "table1"),
        ("truth", False, 0, "synthetic"),
    ],
)
def test_finding_exhibits(name, synthetic, count, message):
    if message is None:
        assert len(find_exhibits(name, synthetic)) == count
        return
    with pytest.raises(ConfigError, match=message):
        find_exhibits(name, synthetic)


@pytest.mark.parametrize(
    ("preset", "faces_seen", "steps", "ramp"),
    [
        ("authors", None, 25_433, 0),
        ("authors", 6_400, 100, 0),
        ("fader", 6_400, 100, 50),
        ("whole", 32 * 2_250, 2_250, 100),
        ("whole", 1, 1, 0),
    ],
)
def test_a_budget_shortens_training_and_its_ramps(preset, faces_seen, steps, ramp):
    config = configure(preset, Budget(faces_seen=faces_seen), 3, NAMES, None)
    assert (config.steps, getattr(config.objective, "aux_ramp_steps", 0)) == (steps, ramp)
    assert config.seed == 3 and config.data.attributes == NAMES and config.data.crop == "template"
    assert config.network == PRESETS[preset].network


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((0, None, None, None, "0"), "trains nothing"),
        ((None, None, None, "fp7", "0"), "fp7"),
        ((None, None, None, None, ""), "whole numbers"),
        ((None, None, None, None, "1,1"), "all different"),
    ],
)
def test_bad_budgets_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        make_budget(*words)


class Fixed:
    """A model that answers with black faces, or with white ones where y is 1."""

    attributes, image_size = NAMES, 64

    def __init__(self, follows):
        self.follows = follows

    def encode(self, crops_nchw, /):
        n = len(np.asarray(crops_nchw))
        return Encoding(np.zeros((n, 1), np.float32), np.full((n, 2), 0.5, np.float32))

    def decode(self, encoding, y, /):
        shade = np.asarray(y)[:, :1, None, None] if self.follows else np.zeros((len(encoding.z), 1, 1, 1))
        return Decoded(np.broadcast_to(shade, (len(encoding.z), 3, 64, 64)).astype(np.float32))


class Bright:
    """An evaluator that calls bright faces smiling."""

    attributes = ("Eyeglasses", "Smiling")
    right = dict.fromkeys(attributes, (1.0, 1.0))

    def predict(self, crops_nchw, /):
        bright = crops_nchw.mean(dim=(1, 2, 3))
        return torch.stack([1 - bright, bright], dim=1)


@pytest.mark.parametrize(("follows", "on", "off"), [(True, 1.0, 1.0), (False, 0.0, 1.0)])
def test_the_papers_count(follows, on, off):
    faces = SyntheticFaces(130, 64, attributes=NAMES)
    positives = int(faces.labels[:100, 0].sum())
    one, other = paper_protocol(Fixed(follows), faces, Bright(), ["Smiling"])
    assert (one.direction, one.success.n, one.success.rate) == ("on", positives, on)
    assert (other.direction, other.success.n, other.success.rate) == ("off", positives, off)


def test_the_papers_count_names_what_is_unknown():
    with pytest.raises(UnknownAttributeError, match="Smiling"):
        paper_protocol(Fixed(True), SyntheticFaces(4, 64, attributes=["Wearing_Hat"]), Bright(), ["Smiling"])


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """A tiny one, on few synthetic faces, with an untrained evaluator."""
    monkeypatch.setattr("aif.train.data.open.SYNTHETIC_TRAIN", 80)
    monkeypatch.setattr("aif.train.data.open.SYNTHETIC_VAL", 40)
    torch.manual_seed(0)
    scores = {name: AttributeScore(0.9, 0.9, 40, 20) for name in NAMES}
    evaluator = Evaluator(evaluator_network(2, 4), NAMES, 64, scores)
    return Experiment(
        out=tmp_path,
        data=None,
        table=None,
        instruments=Instruments(evaluator, None),
        instruments_hash="untrained",
        budget=Budget(faces_seen=32, width=4, precision="32-true"),
        effort=Effort(edit_faces=12, picture_faces=8, probe_faces=60),
        options=LoopOptions(accelerator="cpu", workers=0, cache=False, sample_every=0),
        command="aif eval table1",
    )


def forbid(name):
    def fail(*_args, **_kwargs):
        raise AssertionError(f"{name} ran again")

    return fail


def test_what_is_done_is_not_done_again(experiment, monkeypatch):
    first = system(experiment, "vae", 0, NAMES[:1], NAMES)
    assert {
        "mse",
        "Smiling.on.decoded",
        "paper.on",
        "balanced.linear.mean.Eyeglasses",
        "frechet.sample",
    } <= set(first.numbers)
    assert first.provenance.checkpoint == checkpoint_hash(first.folder) and first.provenance.faces_seen == 64
    monkeypatch.setattr(experiments, "train", forbid("training"))
    with monkeypatch.context() as patch:
        patch.setattr(experiments, "measure_system", forbid("measuring"))
        again = system(experiment, "vae", 0, NAMES[:1], NAMES)
        assert {k: repr(v) for k, v in again.numbers.items()} == {
            k: repr(v) for k, v in first.numbers.items()
        }
        other = dataclasses.replace(experiment, instruments_hash="another evaluator")
        with pytest.raises(AssertionError, match="measuring ran again"):
            system(other, "vae", 0, NAMES[:1], NAMES)
    store = next((experiment.out / "measures").iterdir())
    store.write_text(store.read_text()[:50])  # cut short: measured anew, not believed
    assert system(experiment, "vae", 0, NAMES[:1], NAMES).numbers.keys() == first.numbers.keys()


def test_trainings_share_their_decoded_faces(experiment, monkeypatch):
    decoded = []
    draw = SyntheticFaces.image
    monkeypatch.setattr(SyntheticFaces, "image", lambda faces, i: decoded.append(i) or draw(faces, i))
    caching = dataclasses.replace(experiment, options=dataclasses.replace(experiment.options, cache=True))
    train_faces = caching.faces(NAMES[:1]).train
    for preset in ("vae", "beta-vae"):
        config = configure(preset, caching.budget, 0, NAMES[:1], None)
        experiments.train_once(caching, config, caching.out / preset, None)
    shown = [i for i in decoded if i < 80]
    assert train_faces.filled > 0 and len(shown) <= train_faces.filled + 1  # the first tells the size


def test_another_budget_is_refused_and_a_longer_one_goes_on(experiment):
    system(experiment, "vae", 0, NAMES[:1], [])
    wider = dataclasses.replace(experiment, budget=dataclasses.replace(experiment.budget, width=8))
    with pytest.raises(ConfigError, match=r"network\.width"):
        system(wider, "vae", 0, NAMES[:1], [])
    longer = dataclasses.replace(experiment, budget=dataclasses.replace(experiment.budget, faces_seen=128))
    assert system(longer, "vae", 0, NAMES[:1], []).provenance.faces_seen == 128


def test_an_interrupted_training_says_how_to_go_on(experiment, monkeypatch):
    real = experiments.train

    def stopped(*args, **kwargs):
        return dataclasses.replace(real(*args, **kwargs), stopped=KeyboardInterrupt("it goes on"))

    monkeypatch.setattr(experiments, "train", stopped)
    with pytest.raises(KeyboardInterrupt, match="goes on"):
        system(experiment, "vae", 0, NAMES[:1], [])


def test_a_study_becomes_reports(experiment):
    two = dataclasses.replace(experiment, budget=dataclasses.replace(experiment.budget, seeds=(0, 1)))
    study = Study(two, NAMES, np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32))
    exhibits = [
        dataclasses.replace(exhibit, systems=(System("vae", "VAE", repeated=True),), several=False)
        for exhibit in EXHIBITS
        if exhibit.name in ("table3", "figure4", "figure7", "quality", "truth")
    ]
    reproduce(study, exhibits)
    found = report(study, "A try", exhibits)  # nothing is done again
    assert [type(part) for part in found.parts] == [Table, Picture, Table, Table, Table]
    table3 = found.numbers[found.numbers["table"] == "table3"]
    assert len(table3) == 2 * len(found.parts[0].keys) and table3["n"].notna().all()
    assert set(table3["why"].dropna()) <= {"there was nothing to measure"}
    quality = found.numbers[found.numbers["table"] == "quality"].set_index("key")
    assert "aif fit identity" in quality.loc["Smiling.on.decoded.kept", "why"].iloc[0]
    for name in ("table3", "figure4", "figure7", "quality", "truth", "all"):
        assert all((experiment.out / f"{name}.{form}").exists() for form in ("md", "json"))
    assert len(json.loads((experiment.out / "all.json").read_text())["numbers"]) == len(found.numbers)
    assert "| VAE |" in (experiment.out / "all.md").read_text()


def test_a_study_names_attributes_that_the_evaluator_does_not_know(experiment):
    with pytest.raises(UnknownAttributeError, match="Bald"):
        Study(experiment, ("Bald",), np.zeros((1, 3, 64, 64), np.float32))


def test_the_hash_of_instruments_follows_their_weights(tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    (one / "evaluator.safetensors").write_bytes(b"a")
    first = folder_hash(one, None)
    assert first == folder_hash(one, None) != folder_hash(None, None)
    (one / "evaluator.safetensors").write_bytes(b"b")
    assert folder_hash(one, None) != first
