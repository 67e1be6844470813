"""Two processes train what one does, whichever way the auxiliary network is fed."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from aif.train.config import override, to_dict
from aif.train.presets import RESIDUAL
from aif.train.training.checkpoint import list_checkpoints, load_checkpoint
from aif.train.training.loop import LoopOptions, train

RANKS = """
import json
import os
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from aif.train.config import from_dict
from aif.train.data.synthetic import SyntheticFaces
from aif.train.training import loop

class Trainer(loop.Trainer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        made.append(self)

made, loop.Trainer = [], Trainer
faces = SyntheticFaces(64, attributes=("Smiling",)), SyntheticFaces(16, attributes=("Smiling",), first=500)
options = loop.LoopOptions(accelerator="cpu", devices=2, workers=0, cache=False, sample_every=0)
for folder in map(Path, sys.argv[1:]):
    config = from_dict(json.loads((folder / "config.json").read_text()))
    loop.train(config, folder / "two", *faces, options)
    weights = {name: value.contiguous() for name, value in made[-1].state.networks.state_dict().items()}
    save_file(weights, folder / f"rank-{os.environ['RANK']}.safetensors")
"""


def config(*changes):
    small = ("network.width=4", "network.latent_size=8", "network.aux_hidden=16", "optimiser.batch_size=8")
    same = ("steps=8", "precision=32-true", "network.norm=none")
    learning = ("objective.delta=0.1", "optimiser.learning_rate=1e-3")
    return override(RESIDUAL, [*small, *same, *learning, *changes])


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """For each way to feed the auxiliary network, a folder where two processes have trained the run `two`."""
    root = tmp_path_factory.mktemp("ranks")
    for aux_input in ("second", "mean"):
        (root / aux_input).mkdir()
        settings = to_dict(config(f"objective.aux_input={aux_input}"))
        (root / aux_input / "config.json").write_text(json.dumps(settings))
    (root / "ranks.py").write_text(RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [str(root / name) for name in ("ranks.py", "second", "mean")]
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return root


def weights(folder):
    return load_checkpoint(list_checkpoints(folder / "checkpoints")[-1])[0]["networks"]


@pytest.mark.slow
@pytest.mark.parametrize("aux_input", ["second", "mean"])
def test_two_processes_train_what_one_does(aux_input, two_ranks, tmp_path, faces):
    """torchrun, gloo: both hold the same weights, which are those of one process with the whole batch."""
    ranks = [load_file(two_ranks / aux_input / f"rank-{rank}.safetensors") for rank in (0, 1)]
    assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in ranks[0])
    options = LoopOptions(accelerator="cpu", workers=0, cache=False, sample_every=0)
    for name, steps in (("one", 8), ("start", 1)):
        changes = config(f"objective.aux_input={aux_input}", f"steps={steps}")
        train(changes, tmp_path / name, *faces, options)
    folders = tmp_path / "start", tmp_path / "one", two_ranks / aux_input / "two"
    start, one, two = (weights(folder) for folder in folders)
    assert max((one[name] - start[name]).abs().max() for name in one) > 1e-3  # far beyond the tolerance
    far = [((two[n] - tensor).abs() > 2e-5 + 1e-3 * tensor.abs()).flatten() for n, tensor in one.items()]
    # RMSprop divides by the gradient's size, so where that is nearly 0 (a dead filter) float errors grow
    assert torch.cat(far).float().mean() < 0.02
