"""Checkpoints are whole or absent, and damage is named."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from aif.runtime.errors import CheckpointError
from aif.train.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint


def test_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, step, {"networks": {"a": torch.ones(1)}}, {"faces_seen": step})
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-0000002", "step-0000010"]


@pytest.mark.parametrize("damage", ["truncate", "remove", "garbage", "newer"])
def test_damaged_checkpoints_are_named(tmp_path, damage):
    path = save_checkpoint(tmp_path, 3, {"networks": {"a": torch.ones(100)}}, {})
    weights, info = path / "networks.safetensors", path / "state.json"
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:50])
    elif damage == "remove":
        weights.unlink()
    elif damage == "garbage":
        info.write_text("{")
    else:
        info.write_text(json.dumps({**json.loads(info.read_text()), "format": 99}))
    with pytest.raises(CheckpointError, match="newer" if damage == "newer" else "cannot be read"):
        load_checkpoint(path)


KILLED = """
import os
import sys
from pathlib import Path
import torch
from aif.train.training.checkpoint import save_checkpoint
torch.set_num_threads(1)
for line in sys.stdin:  # torch is loaded once; each folder gets a process of its own
    if (child := os.fork()) == 0:
        print(os.getpid(), flush=True)
        step = 0
        while True:
            step += 1
            tensors = {"a": torch.full((400_000,), float(step)), "b": torch.full((7,), float(step))}
            save_checkpoint(Path(line.strip()), step, {"networks": tensors}, {})
            print(step, flush=True)
    os.waitpid(child, 0)
    print("\\ngone", flush=True)  # on a line of its own: the child may have been killed in the middle of one
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_kill_9_at_any_moment_leaves_a_loadable_checkpoint(tmp_path):
    """The process is killed at many different moments while it does nothing but write checkpoints."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", KILLED], text=True, **pipes) as parent:
        try:
            for round_ in range(6):
                folder = tmp_path / str(round_)
                print(folder, file=parent.stdin, flush=True)
                process = int(parent.stdout.readline())
                assert parent.stdout.readline() == "1\n"
                time.sleep(0.013 * round_)
                os.kill(process, signal.SIGKILL)
                while parent.stdout.readline() != "gone\n":
                    assert parent.poll() is None
                found = list_checkpoints(folder)
                assert found
                for path in found:
                    groups, info = load_checkpoint(path)
                    assert torch.equal(groups["networks"]["a"].unique(), torch.tensor([float(info["step"])]))
        finally:
            parent.kill()
