"""Checkpoints: safetensors for tensors, JSON for the rest, complete or absent.

A checkpoint is a folder `step-000123` that is written under another name and renamed when complete, so that
a process killed at any moment leaves the previous checkpoint whole. Random numbers need no state: every one
of them is a pure function of (seed, step).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from aif.runtime.errors import CheckpointError

FORMAT, KEPT = 1, 2
_NAME = re.compile(r"step-(\d{7})")


def save_checkpoint(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    info: Mapping[str, Any],
) -> Path:
    """Write `folder/step-STEP` (one safetensors file for each entry of `tensors`, and state.json), and return
    it; all but the newest two are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{step:07d}"
    partial = folder / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, group in tensors.items():
        plain = {key: value.detach().cpu().contiguous().clone() for key, value in group.items()}
        save_file(plain, partial / f"{name}.safetensors")
    state = {"format": FORMAT, "step": step, "groups": sorted(tensors), **info}
    (partial / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    for file in partial.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    if final.exists():
        _remove(final)
    partial.rename(final)
    for old in list_checkpoints(folder)[:-KEPT]:
        _remove(old)
    return final


def _remove(checkpoint: Path) -> None:
    """Delete a checkpoint so that it is never seen half-deleted."""
    hidden = checkpoint.with_name(f".{checkpoint.name}.old")
    shutil.rmtree(hidden, ignore_errors=True)
    checkpoint.rename(hidden)
    shutil.rmtree(hidden)


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints in `folder`, oldest first."""
    return sorted(path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))


def load_checkpoint(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Read one checkpoint folder: groups of tensors (on the CPU) and the info of state.json.

    Raises:
        CheckpointError: it is missing, damaged or of a newer format.
    """
    try:
        info: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if info["format"] > FORMAT:
            raise CheckpointError(f"{path} was written by a newer aif.", "Upgrade: pip install -U aif")
        groups = {name: load_file(path / f"{name}.safetensors") for name in info["groups"]}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(
            f"The checkpoint {path} cannot be read ({error}).",
            f"Remove that folder; training resumes from the one before it, if {path.parent} holds another.",
        ) from error
    return groups, info


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as flat tensors, named `parameter number.state name`."""
    state = optimiser.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, entries in state.items()
        for name, value in entries.items()
        if value is not None
    }


def restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` took; hyper-parameters stay as they are."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
