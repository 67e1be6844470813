"""`aif eval` for tables and figures, and that the commands which reports quote do what they say."""

import dataclasses
import json
import shlex

import pytest
import torch
from safetensors.torch import save_file

from aif.cli.eval.command import EXHIBITS
from aif.train.config import to_dict
from aif.train.evaluators.evaluator import EvaluatorConfig, evaluator_network
from aif.train.paper.budget import Budget, command, configure
from aif.train.paper.exhibits import NAMES

ATTRIBUTES = ("Smiling", "Eyeglasses")


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    """The folder of an evaluator that has learnt nothing."""
    folder = tmp_path_factory.mktemp("judge") / "evaluator"
    folder.mkdir()
    torch.manual_seed(0)
    weights = {k: v.contiguous() for k, v in evaluator_network(2, 4).state_dict().items()}
    save_file(weights, folder / "evaluator.safetensors")
    score = {"accuracy": 0.5, "balanced_accuracy": 0.5, "n": 10, "positives": 5}
    about = {
        "attributes": ATTRIBUTES,
        "config": dataclasses.asdict(EvaluatorConfig(width=4)),
        "scores": dict.fromkeys(ATTRIBUTES, score),
    }
    (folder / "evaluator.json").write_text(json.dumps(about))
    return folder


def test_the_command_line_knows_every_exhibit():
    assert (*NAMES, "all") == EXHIBITS


@pytest.mark.parametrize("preset", ["authors", "fader", "whole"])
def test_quoted_commands_train_what_was_measured(aif, preset):
    budget = Budget(faces_seen=6_400, width=8, image_size=128, precision="32-true")
    config = configure(preset, budget, 3, ATTRIBUTES, None)
    _, *words = shlex.split(command(config, None))
    settings = json.loads(aif("train", *words, "--dry-run").text)
    settings["data"]["crop"] = "template"  # concerns CelebA's own layout alone
    assert settings == json.loads(json.dumps(to_dict(config)))


@pytest.mark.slow
def test_a_figure_from_the_command_line(aif, evaluator, tmp_path, monkeypatch):
    monkeypatch.setattr("aif.train.data.open.SYNTHETIC_TRAIN", 400)
    monkeypatch.setattr("aif.train.data.open.SYNTHETIC_VAL", 100)
    words = ["--evaluator", evaluator, "-o", tmp_path / "out", "--portraits", "demo", "--width", "4"]
    words += ["--faces-seen", "64", "--precision", "32-true", "--accelerator", "cpu", "--workers", "0"]
    words += ["--faces", "8", "--picture-faces", "8", "--probe-faces", "60"]
    pytest.importorskip("skimage.data")
    done = aif("eval", "figure3", *words)
    assert "figure3.md" in done.text
    for name in ("figure3.md", "figure3.json", "pictures/figure3.png"):
        assert (tmp_path / "out" / name).stat().st_size > 200
    assert sorted(p.name for p in (tmp_path / "out/runs").iterdir()) == [
        "authors-Smiling-0",
        "authors-no-aux-Smiling-0",
    ]
    run, found = tmp_path / "out/runs/authors-Smiling-0", tmp_path / "found"
    words = ["--evaluator", evaluator, "-o", found, "--faces", "8", "--probe-faces", "60"]
    assert "| not Eyeglasses |" in aif("eval", run, *words, "--groups", "Eyeglasses").text
    assert "not Eyeglasses" in (found / "evaluation.md").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["tabel1"], 1, "table1"),
        (["truth", "--data", "{tmp}"], 2, "synthetic faces"),
        (["table1", "--seeds", "one"], 2, "whole numbers"),
        (["table1", "--precision", "fp8"], 2, "precision"),
        (["table1", "--faces-seen", "0"], 2, "trains nothing"),
        (["table1", "--attributes", "Bald"], 2, "Bald"),
        (["table1", "--identity", "{tmp}"], 1, "identity"),
        (["{tmp}", "--identity", "{tmp}"], 1, "is no bundle"),
        (["{tmp}", "--identity", "{tmp}", "--protocol", "paper"], 2, "Leave --identity out"),
    ],
)
def test_mistakes_are_named(aif, evaluator, tmp_path, words, code, said):
    given = [word.replace("{tmp}", str(tmp_path)) for word in words]
    done = aif("eval", *given, "--evaluator", evaluator, "-o", tmp_path / "out", code=code)
    assert said in done.stderr
    assert not (tmp_path / "out/runs").exists()
