"""What a run logs: JSON lines, TensorBoard, and grids of faces."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from aif.runtime.arrays import UInt8Array
from aif.runtime.errors import TrainingError
from aif.runtime.files import write_text
from aif.train.networks.modules import Encoder
from aif.train.training.checkpoint import list_checkpoints

CHECKPOINT, FIRST_SAMPLE = 300.0, 60.0
"""Seconds between checkpoints, at the most, and to the first sample; more come after 2, 4, 8 ... minutes."""

STOPPING = "Stopping after this step, with a checkpoint. Once more: at once, back to the last checkpoint."


def not_finite(what: str, step: int, checkpoints: Path) -> TrainingError:
    """The error of a training that diverged; it names a checkpoint only if there is one."""
    kept = list_checkpoints(checkpoints)
    return TrainingError(
        f"Training stopped at step {step}: {what}.",
        (f"The last good checkpoint is {kept[-1]}. " if kept else "There is no checkpoint yet. ")
        + "A lower --learning-rate usually helps, with another --out; 16-mixed is the most fragile.",
    )


class RunLog:
    """`metrics.jsonl` (one object a logging step), TensorBoard events and `samples/*.png` of a run."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        path = folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        kept = (line for line in lines if _step(line) <= resume_step)
        write_text(path, "".join(kept))  # lines after the checkpoint will be written anew
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log one step's figures."""
        self._file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def grid(self, step: int, grid_hwc_rgb: UInt8Array) -> None:
        """Save a picture of sample faces."""
        folder = self._folder / "samples"
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"step-{step:07d}.png"), cv2.cvtColor(grid_hwc_rgb, cv2.COLOR_RGB2BGR))
        self._board.add_image("samples", grid_hwc_rgb, step, dataformats="HWC")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._board.close()


def _step(line: str) -> float:
    """The step of a log line; infinite for one that is half written or damaged."""
    try:
        return int(json.loads(line)["step"]) if line.endswith("\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf


@torch.no_grad()
def sample_grid(encoder: Encoder, decoder: torch.nn.Module, image: Tensor) -> UInt8Array:
    """One row a face: original, reconstruction, then each attribute off and on. uint8 (H, W, 3) RGB.

    image (N, 3, S, S) in [0, 1]; the networks are used as they are (pass them in eval mode).
    """
    code = encoder(image)
    columns = [image, decoder(code.mean, code.y)]
    for attribute in range(code.y.shape[1]):
        for value in (0.0, 1.0):
            y = code.y.clone()
            y[:, attribute] = value
            columns.append(decoder(code.mean, y))
    cells = torch.stack([column.float() for column in columns], dim=1).flatten(0, 1)
    grid = make_grid(cells, nrow=len(columns), padding=0).permute(1, 2, 0)
    return np.asarray((grid * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy())
