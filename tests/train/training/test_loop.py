"""The loop on synthetic faces: exact resume, interruption, refusals, arithmetic."""

import contextlib
import dataclasses
import functools
import json
import os
import signal

import numpy as np
import pytest
import torch
from lightning.fabric.plugins.precision import Precision

from aif.runtime.errors import CheckpointError, ConfigError, TrainingError
from aif.runtime.signals import Terminated
from aif.train.config import override, to_dict
from aif.train.data.synthetic import SyntheticFaces
from aif.train.networks import blocks
from aif.train.presets import RESIDUAL, WHOLE, get_preset
from aif.train.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from aif.train.training.ema import Ema
from aif.train.training.fabric import resolve_precision, start_fabric
from aif.train.training.logs import RunLog, not_finite
from aif.train.training.loop import LoopOptions, train
from aif.train.training.run import load_run, prepare_run

SMALL = [
    *("network.width=4", "network.latent_size=8", "network.aux_hidden=16", "optimiser.batch_size=8"),
    *("steps=8", "precision=32-true", "freeze.game_steps=3"),
]
OPTIONS = {"accelerator": "cpu", "workers": 0, "cache": False}


def small(preset=WHOLE, *extra):
    return override(preset, [*SMALL, *extra])


def options(**changes):
    return LoopOptions(**{**OPTIONS, "log_every": 2, "checkpoint_every": 4, "sample_every": 4, **changes})


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, faces):
    """The folder of a preset's run that nothing has interrupted."""

    @functools.cache
    def run(name):
        out = tmp_path_factory.mktemp("unbroken") / name
        train(small(get_preset(name)), out, *faces, options())
        return out

    return run


def state(folder):
    groups, _ = load_checkpoint(list_checkpoints(folder / "checkpoints")[-1])
    return {f"{group}/{name}": tensor for group, found in groups.items() for name, tensor in found.items()}


def assert_same(one, other):
    a, b = state(one), state(other)
    assert a.keys() == b.keys() and a
    assert not [name for name in a if not torch.equal(a[name], b[name])]


@pytest.mark.parametrize("name", ["authors", "residual", "cvae-gan", "fader", "dip-vae-2"])
def test_a_longer_run_goes_on_bit_for_bit(name, tmp_path, faces, unbroken):
    """A run of 2N steps equals N steps, a resume with a decoding process, and N more; dropout and EMA too."""
    config = small(get_preset(name))
    train(dataclasses.replace(config, steps=4), tmp_path / "parts", *faces, options(checkpoint_every=3))
    result = train(config, tmp_path / "parts", *faces, options(workers=1))
    assert result.finished and result.step == 8
    assert all(np.isfinite(value) for value in result.terms.values())
    assert_same(unbroken(name), tmp_path / "parts")


@pytest.mark.parametrize(
    ("name", "step"),
    [("whole", 3), ("whole", 5), ("whole", 7), ("icgan", 3), ("icgan", 4), ("classifier", 2)],
)
def test_an_interrupted_run_resumes_bit_for_bit(name, step, tmp_path, faces, unbroken):
    """Before, at and after the step where a run of two parts changes over: whole at 5, icgan at 4."""
    config = small(get_preset(name))
    assert config.freezes_at == (5 if name == "whole" else 8)

    def stop(report):
        if report.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    with contextlib.suppress(KeyboardInterrupt):  # where z is about to be cleaned
        first = train(config, tmp_path / "parts", *faces, options(log_every=1), stop)
        assert first.step in (step, step + 1)
    assert train(config, tmp_path / "parts", *faces, options()).finished
    assert_same(unbroken(name), tmp_path / "parts")


@pytest.mark.parametrize(
    ("name", "numbers"), [("whole", [0, 1, 2, 3, 4, 0, 1, 2]), ("residual", [*range(8)])]
)
def test_the_average_begins_anew_once_the_encoder_is_frozen(name, numbers, tmp_path, faces, monkeypatch):
    told = []
    monkeypatch.setattr(Ema, "update", lambda self, module, number: told.append(number))
    train(small(get_preset(name)), tmp_path, *faces, options())
    assert told == numbers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_z_is_cleaned_a_signal_acts_at_once_and_loses_nothing(
    number, tmp_path, faces, unbroken, monkeypatch
):
    config, cleaned = small(WHOLE), []

    def interrupted(*arguments):
        signal.raise_signal(number)
        cleaned.append(arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt) as caught:
        patched.setattr("aif.train.training.trainer.factorize", interrupted)
        train(config, tmp_path / "parts", *faces, options(checkpoint_every=100))
    assert isinstance(caught.value, Terminated) == (number == signal.SIGTERM) and not cleaned
    assert list_checkpoints(tmp_path / "parts/checkpoints")[-1].name == "step-0000005"
    train(config, tmp_path / "parts", *faces, options())
    assert_same(unbroken("whole"), tmp_path / "parts")


def test_time_is_told_early_and_the_first_picture_comes_within_minutes(tmp_path, faces, monkeypatch):
    """Steps of 20 seconds: a report at each, pictures after 1, 2 and 4 minutes, a checkpoint after 5."""
    clock, reports = [0.0], []
    monkeypatch.setattr("aif.train.progress.monotonic", lambda: clock[0])

    def show(report):
        reports.append(report)
        clock[0] += 20

    config = small(RESIDUAL, "steps=20")
    rare = options(log_every=1000, checkpoint_every=1000, sample_every=1000)
    train(config, tmp_path, *faces, rare, show)
    assert [report.step for report in reports] == list(range(1, 21))
    assert reports[4].seconds_left == pytest.approx(15 * 20)
    pictures = sorted(path.stem for path in (tmp_path / "samples").iterdir())
    assert pictures == [f"step-{step:07d}" for step in (3, 6, 12, 20)]
    kept = [path.name for path in list_checkpoints(tmp_path / "checkpoints")]
    assert kept == ["step-0000015", "step-0000020"]


def test_what_a_finished_run_holds(tmp_path, faces):
    config, out = small(WHOLE), tmp_path / "run"
    train(config, out, *faces, options())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert {"rec", "kl", "class", "adversary", "aux", "faces_per_second"} <= lines[0].keys()
    assert {"rec", "gan", "gan_fake", "edit_class", "faces_per_second"} <= lines[-1].keys()
    assert {p.name for p in (out / "samples").iterdir()} == {"step-0000004.png", "step-0000008.png"}
    assert list((out / "tensorboard").iterdir())
    run = load_run(out)
    assert (run.step, run.faces_seen, run.data_name) == (8, 64, "synthetic")
    before = (out / "metrics.jsonl").read_bytes()
    assert train(config, out, *faces, options()).step == 8  # it is left alone
    assert (out / "metrics.jsonl").read_bytes() == before
    (out / "metrics.jsonl").write_bytes(b'{"st\n\n[1]\n' + before + b'{"step": 9')
    RunLog(out, 6).__exit__()  # damaged lines stop nobody
    assert (out / "metrics.jsonl").read_bytes() == b"".join(before.splitlines(keepends=True)[:3])


def test_another_configuration_data_or_folder_is_refused(tmp_path, faces):
    config = small(RESIDUAL, "steps=1")
    train(config, tmp_path / "run", *faces, options())
    with pytest.raises(ConfigError, match=r"objective\.rho"):
        train(override(config, ["objective.rho=0.5"]), tmp_path / "run", *faces, options())
    other = SyntheticFaces(64, attributes=("Smiling",), seed=9)
    with pytest.raises(ConfigError, match="other data"):
        train(config, tmp_path / "run", other, faces[1], options())
    with pytest.raises(ConfigError, match="The data have the attributes Male"):
        train(config, tmp_path / "new", SyntheticFaces(8, attributes=("Male",)), faces[1], options())
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("dear")
    with pytest.raises(ConfigError, match="not empty"):
        train(config, tmp_path / "full", *faces, options())
    with pytest.raises(CheckpointError, match="not a training run"):
        load_run(tmp_path / "nowhere")


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path, faces):
    config = small(WHOLE, "optimiser.learning_rate=1e30", "optimiser.clip=null")
    with pytest.raises(TrainingError, match=r"step \d+: .*no longer finite") as caught:
        train(config, tmp_path / "run", *faces, options(checkpoint_every=1))
    kept = list_checkpoints(tmp_path / "run/checkpoints")
    assert (str(kept[-1]) if kept else "There is no checkpoint yet.") in str(caught.value)
    if kept:  # it is whole
        assert all(tensor.isfinite().all() for tensor in state(tmp_path / "run").values())
    (tmp_path / "empty").mkdir()
    assert "There is no checkpoint yet." in str(not_finite("a loss is", 3, tmp_path / "empty"))


@pytest.mark.parametrize("resumed", [False, True])
def test_settings_of_another_version_are_named(resumed, tmp_path, faces):
    settings = to_dict(small(RESIDUAL))
    settings["network"]["wormholes"] = 3
    (tmp_path / "config.json").write_text(json.dumps(settings))
    save_checkpoint(tmp_path / "checkpoints", 1, {"networks": {"a": torch.ones(1)}}, {})
    with pytest.raises(CheckpointError, match=r"this version of aif.*wormholes") as caught:
        prepare_run(small(RESIDUAL), tmp_path, faces[0]) if resumed else load_run(tmp_path)
    assert "newer" in str(caught.value.fix)


def test_the_scale_of_half_precision_gradients_is_kept(tmp_path, faces, monkeypatch):
    """float16 needs a GPU; the state of a gradient scaler can be kept anywhere."""
    scale, seen = {"scale": 1024.0, "growth_factor": 2.0, "_growth_tracker": 1}, []
    monkeypatch.setattr(Precision, "state_dict", lambda _plugin: scale)
    monkeypatch.setattr(Precision, "load_state_dict", lambda _plugin, found: seen.append(found))
    config = small(RESIDUAL)
    train(dataclasses.replace(config, steps=1), tmp_path / "run", *faces, options())
    train(dataclasses.replace(config, steps=2), tmp_path / "run", *faces, options())
    assert seen == [scale]
    torch.amp.GradScaler("cpu").load_state_dict({**seen[0], "backoff_factor": 0.5, "growth_interval": 3})


@pytest.mark.parametrize(
    ("precision", "accelerator", "cuda", "bf16", "expected"),
    [
        ("auto", "cpu", True, False, "32-true"),
        ("auto", "cuda", False, False, "32-true"),
        ("auto", "cpu", False, True, "bf16-mixed"),
        ("auto", "auto", False, False, "32-true"),
        ("auto", "auto", True, False, "32-true"),  # a card before Ampere
        ("auto", "auto", True, True, "bf16-mixed"),
        ("auto", "gpu", True, True, "bf16-mixed"),
        ("auto", "mps", False, True, "32-true"),
        ("bf16-mixed", "cpu", False, False, "bf16-mixed"),
        ("16-mixed", "cuda", True, True, "16-mixed"),
        ("32-true", "cuda", True, True, "32-true"),
    ],
)
def test_precision(precision, accelerator, cuda, bf16, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)
    monkeypatch.setattr(blocks, "multiplies_bf16", lambda: bf16)
    assert resolve_precision(precision, accelerator) == expected


def test_a_run_writes_down_what_auto_came_to_and_keeps_it(tmp_path, faces, monkeypatch):
    for steps, bf16 in ((1, False), (2, True)):  # resumed on a machine that would choose otherwise
        monkeypatch.setattr(blocks, "multiplies_bf16", lambda bf16=bf16: bf16)
        config = override(small(RESIDUAL), [f"steps={steps}", "precision=auto"])
        assert train(config, tmp_path / "run", *faces, options()).step == steps
        assert json.loads((tmp_path / "run/config.json").read_text())["precision"] == "32-true"
    with pytest.raises(ConfigError, match="precision"):
        train(override(config, ["precision=bf16-mixed"]), tmp_path / "run", *faces, options())


@pytest.mark.parametrize(
    ("changes", "devices", "message"), [(["precision=16-mixed"], 1, "needs a GPU"), ([], 0, "cannot be used")]
)
def test_devices_that_cannot_be_used(changes, devices, message):
    with pytest.raises(ConfigError, match=message):
        start_fabric(override(RESIDUAL, changes), "cpu", devices, 1)
