"""The training loop of the small networks: it goes on exactly where a signal or a crash stopped it."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from aif.runtime.errors import CheckpointError, DataError
from aif.runtime.signals import Terminated
from aif.train.evaluators.fitting import FitOptions, endless, fit, numbered, one_cycle
from aif.train.training.checkpoint import list_checkpoints, load_checkpoint

ABOUT = {"config": {"widths": (1, 2)}}


def trained(folder, *, stop=None, at=3, every=0.0, about=ABOUT, ema=None, lines=None):
    """Fit a line to noise in 10 steps of 4 samples; `stop` is a signal, or 0 for a crash, in step `at`."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def batches(done):
        for step in range(done, 10):
            yield step, torch.randn(4, 3, generator=torch.Generator().manual_seed(step))

    def loss(batch, progress):
        step, x = batch
        assert progress == step / 10
        if stop == 0 and step == at:
            raise RuntimeError("crash")
        if stop and step == at:
            os.kill(os.getpid(), stop)
        return (network(x) - x.sum(1, keepdim=True)).square().mean(), 4

    options = FitOptions("line", 40, 0.05, 0.01, ema=ema, clip=1.0, every=every)
    log = [].append if lines is None else lines.append
    return fit(network, loss, batches, options, folder, about, log=log).state_dict()


@pytest.mark.parametrize("ema", [None, 0.5])
@pytest.mark.parametrize(
    ("stop", "error", "seen"),
    [(signal.SIGINT, KeyboardInterrupt, 16), (signal.SIGTERM, Terminated, 16), (0, RuntimeError, 12)],
)
def test_it_goes_on_exactly(tmp_path, stop, error, seen, ema):
    whole = trained(None, ema=ema)
    with pytest.raises(error):
        trained(tmp_path, stop=stop, every=0 if stop == 0 else 1000, ema=ema)
    _, info = load_checkpoint(list_checkpoints(tmp_path)[-1])
    assert (info["seen"], info["step"]) == (seen, seen // 4)
    lines: list[str] = []
    again = trained(tmp_path, ema=ema, lines=lines)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert lines[0] == f"line: goes on from {seen} of 40" and lines[-1].startswith("line: 40 of 40, loss ")
    done = trained(tmp_path, ema=ema)  # nothing is left to do
    assert all(torch.equal(whole[name], done[name]) for name in whole)


def test_checkpoints_are_spaced_in_time(tmp_path):
    lines: list[str] = []
    trained(tmp_path, every=1000, lines=lines)
    assert lines[0] == "line: 40 to see" and lines[1].endswith("about 0 s left")
    assert len(lines) == 2 and len(list_checkpoints(tmp_path)) == 1


def test_other_settings_and_damage_are_refused(tmp_path):
    trained(tmp_path)
    with pytest.raises(CheckpointError, match="other settings"):
        trained(tmp_path, about={"config": {"widths": (1, 3)}})
    with pytest.raises(CheckpointError, match="is damaged"):
        trained(tmp_path, ema=0.5)  # whose average is missing there
    for file in tmp_path.glob("*/network.safetensors"):
        file.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(CheckpointError, match="cannot be read"):
        trained(tmp_path)


def test_no_batch():
    options = FitOptions("line", 4, 0.05, 0.01)
    with pytest.raises(DataError, match="no batch"):
        fit(nn.Linear(1, 1), lambda batch, _: (batch, 1), lambda _: endless([]), options)
    assert [next(stream) for stream in [endless([1, 2])] for _ in range(5)] == [1, 2, 1, 2, 1]


class Numbers(Dataset[int]):
    def __getitem__(self, index):
        return 10 * index


@pytest.mark.parametrize("workers", [0, 1])
def test_numbered_batches(workers):
    assert list(numbered(Numbers(), 2, 6, workers)) == [20, 30, 40, 50]


@pytest.mark.parametrize("rise", [0.03, 0.15])
def test_schedule(rise):
    rates = [one_cycle(k / 100, rise) for k in range(101)]
    assert max(rates) == rates[round(100 * rise)] == 1.0
    assert rates[0] < 0.05 and rates[-1] == pytest.approx(0, abs=1e-9)
