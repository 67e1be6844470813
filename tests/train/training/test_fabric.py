"""Which arithmetic a training takes by itself, and that a run keeps it."""

import json

import pytest
import torch

from aif.runtime.errors import ConfigError
from aif.train.config import override
from aif.train.data.synthetic import SyntheticFaces
from aif.train.networks import blocks
from aif.train.presets import RESIDUAL, WHOLE
from aif.train.training import fabric as fabrics
from aif.train.training.loop import LoopOptions, train


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
    assert fabrics.resolve_precision(precision, accelerator) == expected


@pytest.mark.parametrize("preset", [RESIDUAL, WHOLE], ids=lambda p: p.preset)
def test_presets_choose_by_the_machine(preset):
    assert preset.precision == "auto"


def test_a_run_writes_down_what_auto_came_to_and_keeps_it(tmp_path, monkeypatch):
    small = ["network.width=4", "network.latent_size=4", "network.aux_hidden=8", "optimiser.batch_size=4"]
    faces = SyntheticFaces(8, attributes=("Smiling",)), SyntheticFaces(4, attributes=("Smiling",), first=500)
    options = LoopOptions(accelerator="cpu", workers=0, cache=False, sample_every=0)
    for steps, bf16 in ((1, False), (2, True)):  # resumed on a machine that would choose otherwise
        monkeypatch.setattr(blocks, "multiplies_bf16", lambda bf16=bf16: bf16)
        config = override(RESIDUAL, [*small, f"steps={steps}"])
        assert train(config, tmp_path / "run", *faces, options).step == steps
        assert json.loads((tmp_path / "run/config.json").read_text())["precision"] == "32-true"
    with pytest.raises(ConfigError, match="precision"):
        train(override(config, ["precision=bf16-mixed"]), tmp_path / "run", *faces, options)


@pytest.mark.parametrize(
    ("changes", "devices", "message"), [(["precision=16-mixed"], 1, "needs a GPU"), ([], 0, "cannot be used")]
)
def test_devices_that_cannot_be_used(changes, devices, message):
    with pytest.raises(ConfigError, match=message):
        fabrics.start_fabric(override(RESIDUAL, changes), "cpu", devices, 1)
