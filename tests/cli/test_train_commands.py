"""aif-train, aif-export, aif fit, aif eval and aif bench as a user types them, on synthetic faces."""

import json
import shutil

import cv2
import numpy as np
import pytest

from aif.cli.train import training_bar
from aif.train.training.loop import Progress


@pytest.mark.slow
def test_from_training_to_an_edited_photo(aif, tiny_run, astronaut_bgr, tmp_path):
    bundle = tmp_path / "smile.aif"
    done = aif("export", tiny_run, "-o", bundle)
    assert "batch 16" in done.text and bundle.exists()
    photo = tmp_path / "portrait.png"
    cv2.imwrite(str(photo), astronaut_bgr)
    edit = ("edit", photo, "--bundle", bundle, "--mode", "replace", "--set", "Smiling=1")
    aif(*edit, "-o", tmp_path / "out.png")
    assert np.abs(cv2.imread(str(tmp_path / "out.png")).astype(int) - astronaut_bgr).max() > 10


def test_training_goes_on_and_says_so(aif, tiny_run, small, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(tiny_run, out)
    done = aif("train", "--out", out, *small, "--steps", "6")
    assert "Trained 6 steps" in done.text and f"aif-export {out}" in done.text
    assert "step 6 of 6" in done.stderr and "faces/s" in done.stderr  # no terminal, so no bar


def test_dry_run_prints_the_settings(aif, tmp_path):
    words = ("train", "--out", tmp_path / "x", "--preset", "authors", "--dry-run", "-c", "objective.rho=0.5")
    settings = json.loads(aif(*words).text)
    assert settings["objective"]["rho"] == 0.5 and settings["network"]["latent_size"] == 100
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["train", "--out", "{tmp}/x", "--preset", "besst"], 2, "best"),
        (["train", "--out", "{tmp}/x", "--preset", "linear", "--workers", "2"], 2, "--workers does nothing"),
        (["train", "--out", "{tmp}/x", "--no-cache"], 2, "--no-cache does nothing for preset best"),
        (
            ["train", "--out", "{tmp}/x", "--preset", "whole", "--region", "Smiling=mouth"],
            2,
            "--region does nothing",
        ),
        (["train", "--out", "{tmp}/x", "--attributes", "Smilling"], 2, "Smiling"),
        (["train", "--out", "{tmp}/x", "--data", "{tmp}/nowhere"], 1, "nowhere"),
        (["train", "--out", "{tmp}/x", "-c", "objective.rhoo=1"], 2, "rho"),
        (["train", "--out", "{tmp}/x", "--steps", "0"], 2, "at least one step"),
        (["export", "{tmp}", "-o", "{tmp}/b.aif"], 1, "not a training run"),
        (["fit", "judge", "--data", "{tmp}", "-o", "{tmp}/e"], 2, "evaluator"),
        (["fit", "detector", "--data", "{tmp}", "-o", "{tmp}/e"], 2, "--others FOLDER"),
        (["fit", "matte", "--data", "{tmp}", "-o", "{tmp}/e", "--pictures", "{tmp}"], 2, "not for matte"),
        (["eval", "{tmp}", "--data", "{tmp}", "--evaluator", "{tmp}", "-o", "{tmp}/e"], 1, "is no bundle"),
        (["bench", "walking"], 2, "training"),
        (["bench", "training", "--seconds", "0"], 2, "above 0"),
    ],
)
def test_mistakes_are_named_without_a_traceback(aif, tmp_path, words, code, said):
    done = aif(*[word.replace("{tmp}", str(tmp_path)) for word in words], code=code)
    assert said in done.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_bench_training_gives_ratios(aif):
    short = ("--rounds", "1", "--seconds", "0.3")
    lines = aif("bench", "training", "--width", "4", "--batch-size", "4", *short).text.splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == [
        "plain PyTorch",
        "aif, 32-true",
        "aif, bf16-mixed",
    ]
    assert lines[0].endswith("ratio 1.00")


@pytest.mark.parametrize("columns", [80, 120])
def test_the_bar_of_a_training_shows_its_total(columns, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    terms = {"rec": 0.123, "class": 0.456, "aux": 0.789}
    with training_bar() as show:
        show("training", Progress(12_345, 100_000, 123.4, 43_200.0, terms))
    said = capsys.readouterr().err
    assert "12345/100000" in said and "about 12.0 h left" in said and "\u2026" not in said
    assert ("aux 0.789" in said) == (columns == 120)
