"""The loop on synthetic faces: exact resume, interruption, damage, several processes, factorization."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric.plugins.precision import Precision
from safetensors.torch import load_file

from aif.runtime.errors import CheckpointError, ConfigError, TrainingError
from aif.train.config import TrainConfig, from_dict, override, to_dict
from aif.train.data.synthetic import SyntheticFaces
from aif.train.presets import PRESETS, RESIDUAL, WHOLE, get_preset
from aif.train.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint
from aif.train.training.loop import LoopOptions, train
from aif.train.training.run import load_run, prepare_run

SMALL = [
    "network.width=4",
    "network.latent_size=8",
    "network.aux_hidden=16",
    "optimiser.batch_size=8",
    "steps=8",
    "precision=32-true",
    "settle.game_steps=3",
]


def small(preset: TrainConfig = WHOLE, *extra: str) -> TrainConfig:
    return override(preset, [*SMALL, *extra])


def options(**changes: object) -> LoopOptions:
    return LoopOptions(
        **{
            "accelerator": "cpu",
            "workers": 0,
            "cache": False,
            "log_every": 2,
            "checkpoint_every": 4,
            "sample_every": 4,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def faces():
    return SyntheticFaces(64, attributes=("Smiling",)), SyntheticFaces(16, attributes=("Smiling",), first=500)


def state(folder: Path) -> dict[str, torch.Tensor]:
    groups, _ = load_checkpoint(list_checkpoints(folder / "checkpoints")[-1])
    return {f"{group}/{name}": tensor for group, found in groups.items() for name, tensor in found.items()}


def assert_same(one: Path, other: Path) -> None:
    a, b = state(one), state(other)
    assert a.keys() == b.keys() and a
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert not different


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_trains_and_resumes_bit_for_bit(name, tmp_path, faces):
    """A run of 2N steps equals N steps, a resume, and N more; batch norm, dropout, EMA and R1 included."""
    config = small(get_preset(name))
    train(config, tmp_path / "whole", *faces, options())
    train(dataclasses.replace(config, steps=4), tmp_path / "parts", *faces, options(checkpoint_every=3))
    result = train(config, tmp_path / "parts", *faces, options(workers=1))
    assert result.finished and result.step == 8
    staged = config.settle.at < 1 or config.objective.method == "icgan"
    if config.optimiser.decay_last == 0 and not staged:  # else it depends on the number of steps
        assert_same(tmp_path / "whole", tmp_path / "parts")
    assert all(np.isfinite(value) for value in result.terms.values())


@pytest.mark.parametrize(
    ("name", "step"), [("whole", 3), ("whole", 5), ("whole", 7), ("icgan", 3), ("icgan", 4), ("icgan", 6)]
)
def test_interrupted_run_resumes_bit_for_bit(name, step, tmp_path, faces):
    """Before, at and after the step where a run of two parts changes over: whole at 5, icgan at 4."""
    config = small(get_preset(name))
    assert config.freezes_at == (5 if name == "whole" else 8)

    def stop(report):
        if report.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    train(config, tmp_path / "whole", *faces, options())
    first = train(config, tmp_path / "parts", *faces, options(log_every=1), stop)
    assert first.step in (step, step + 1)
    assert train(config, tmp_path / "parts", *faces, options()).finished
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_logs_and_samples(tmp_path, faces):
    train(small(WHOLE), tmp_path / "run", *faces, options())
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert {"rec", "kl", "class", "adversary", "aux", "faces_per_second"} <= lines[0].keys()
    assert {"rec", "gan", "gan_fake", "edit_class", "faces_per_second"} <= lines[-1].keys()
    assert sorted(p.name for p in (tmp_path / "run/samples").iterdir()) == [
        "step-0000004.png",
        "step-0000008.png",
    ]
    assert list((tmp_path / "run/tensorboard").iterdir())
    run = load_run(tmp_path / "run")
    assert (run.step, run.faces_seen, run.data_name) == (8, 64, "synthetic")


def test_a_finished_run_is_left_alone(tmp_path, faces):
    config = small(WHOLE)
    train(config, tmp_path / "run", *faces, options())
    before = (tmp_path / "run/metrics.jsonl").read_bytes()
    assert train(config, tmp_path / "run", *faces, options()).step == 8
    assert (tmp_path / "run/metrics.jsonl").read_bytes() == before


def test_another_configuration_data_or_folder_is_refused(tmp_path, faces):
    config = small(WHOLE)
    train(config, tmp_path / "run", *faces, options())
    with pytest.raises(ConfigError, match=r"objective\.rho"):
        train(override(config, ["objective.rho=0.5"]), tmp_path / "run", *faces, options())
    other = SyntheticFaces(64, attributes=("Smiling",), seed=9)
    with pytest.raises(ConfigError, match="other data"):
        train(config, tmp_path / "run", other, faces[1], options())
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
    assert "checkpoints" in str(caught.value)
    found = list_checkpoints(tmp_path / "run/checkpoints")
    if found:  # what was kept is whole
        assert all(tensor.isfinite().all() for tensor in state(tmp_path / "run").values())


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_with_settings_of_another_version_is_told_so(resumed, tmp_path, faces):
    settings = to_dict(small(RESIDUAL))
    settings["network"]["wormholes"] = 3
    (tmp_path / "config.json").write_text(json.dumps(settings))
    save_checkpoint(tmp_path / "checkpoints", 1, {"networks": {"a": torch.ones(1)}}, {})
    with pytest.raises(CheckpointError, match=r"this version of aif.*wormholes") as caught:
        prepare_run(small(RESIDUAL), tmp_path, faces[0]) if resumed else load_run(tmp_path)
    assert "newer" in str(caught.value.fix)


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


RANKS = textwrap.dedent(
    """
    import os
    import sys
    from pathlib import Path
    import torch
    torch.set_num_threads(1)
    from safetensors.torch import save_file
    import aif.train.training.loop
    from aif.train.config import from_dict
    from aif.train.data.synthetic import SyntheticFaces
    from aif.train.training.loop import LoopOptions, train
    import json
    faces = SyntheticFaces(64, attributes=("Smiling",))
    val = SyntheticFaces(16, attributes=("Smiling",), first=500)
    options = LoopOptions(accelerator="cpu", devices=2, workers=0, cache=False, sample_every=0)

    class Players(aif.train.training.loop.Players):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            players.append(self)

    players = []
    aif.train.training.loop.Players = Players
    for folder in map(Path, sys.argv[1:]):
        config = from_dict(json.loads((folder / "config.json").read_text()))
        train(config, folder / "two", faces, val, options)
        weights = {name: value.contiguous() for name, value in players[-1].networks.state_dict().items()}
        save_file(weights, folder / f"rank-{os.environ['RANK']}.safetensors")
    """
)


def ranks_config(aux_input: str) -> TrainConfig:
    changes = ("network.norm=none", "objective.delta=0.1", "optimiser.learning_rate=1e-3")
    return small(RESIDUAL, *changes, f"objective.aux_input={aux_input}")


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """For each way to feed the auxiliary network, a folder where two processes have trained the run `two`."""
    root = tmp_path_factory.mktemp("ranks")
    folders = [root / aux_input for aux_input in ("second", "mean")]
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(to_dict(ranks_config(folder.name))))
    script = root / "ranks.py"
    script.write_text(RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(script), *map(str, folders)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return root


@pytest.mark.slow
@pytest.mark.parametrize("aux_input", ["second", "mean"])
def test_both_processes_hold_the_same_weights(aux_input, two_ranks):
    one, other = (load_file(two_ranks / aux_input / f"rank-{rank}.safetensors") for rank in (0, 1))
    assert one.keys() == other.keys() and any(name.startswith("decoder") for name in one)
    for name, weights in one.items():
        assert torch.equal(weights, other[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("aux_input", ["second", "mean"])
def test_two_processes_train_what_one_does(aux_input, two_ranks, tmp_path, faces):
    """torchrun, gloo, two processes: the result is that of one process with the whole batch."""
    config = ranks_config(aux_input)
    train(config, tmp_path / "one", *faces, options(sample_every=0))
    one, two = state(tmp_path / "one"), state(two_ranks / aux_input / "two")
    start = small(RESIDUAL, "network.norm=none", "steps=1")
    train(start, tmp_path / "start", *faces, options(sample_every=0))
    moved, far = 0.0, []
    for name, tensor in one.items():
        if name.startswith("networks/"):
            far.append(((two[name] - tensor).abs() > 2e-5 + 1e-3 * tensor.abs()).flatten())
            moved = max(moved, (tensor - state(tmp_path / "start")[name]).abs().max().item())
    assert moved > 1e-2  # far beyond the tolerance
    # RMSprop divides by the gradient's size, so where that is nearly 0 (a dead filter) float errors grow
    assert torch.cat(far).float().mean() < 0.02


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("objective.rho", "no assignment"),
        ("objective.rhoo=1", "rho"),
        ("objectiv.rho=1", "objective"),
        ("objective.rho=-1", "negative"),
        ("objective.rho=much", "valid number"),
        ("objective.aux_target=down", "ascend"),
        ("network.image_size=96", "64, 128 or 256"),
        ("network.handed=[16]", "handed"),
        ("precision=fp8", "32-true"),
        ("steps=0", "at least 1"),
        ("optimiser.ema_decay=2", "EMA"),
        ("settle.delta=0", "edit_class"),
        ("settle.at=1.5", "1.5"),
        ("settle.edit_rate=2", "edit_rate"),
    ],
)
def test_settings_that_cannot_be_are_refused(assignment, message):
    with pytest.raises(ConfigError, match=message):
        override(WHOLE, [assignment])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_configurations_survive_json(name):
    config = get_preset(name)
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    assert config.preset == name


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match="residual"):
        get_preset("residul")


def test_the_scale_of_half_precision_gradients_is_kept(tmp_path, faces, monkeypatch):
    """float16 needs a GPU; its gradient scaler, which must go on where it was, works anywhere."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
    scaler._lazy_init_scale_growth_tracker(torch.device("cpu"))
    seen = []

    def state(_plugin):
        return scaler.state_dict()

    monkeypatch.setattr(Precision, "state_dict", state)
    monkeypatch.setattr(Precision, "load_state_dict", lambda _plugin, found: seen.append(found))
    config = small(get_preset("residual"))
    train(dataclasses.replace(config, steps=4), tmp_path / "run", *faces, options())
    train(config, tmp_path / "run", *faces, options())
    assert seen == [scaler.state_dict()] and seen[0]["scale"] == 1024.0
    fresh = torch.amp.GradScaler("cpu")
    fresh.load_state_dict(seen[0])
    assert fresh.get_scale() == 1024.0 and fresh.get_growth_interval() == 3
