"""What a run logs: JSON lines, TensorBoard, and grids of faces."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

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
        kept = (line for line in _lines(path) if _step(line) <= resume_step)
        write_text(path, "".join(kept))  # lines after the checkpoint will be written anew
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=resume_step + 1)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Log one step's figures."""
        self._file.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def grid(self, step: int, grid_hwc_rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
        """Save a picture of sample faces."""
        folder = self._folder / "samples"
        folder.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / f"step-{step:07d}.png"), cv2.cvtColor(grid_hwc_rgb, cv2.COLOR_RGB2BGR))
        self._board.add_image("samples", grid_hwc_rgb, step, dataformats="HWC")

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._board.close()


def _step(line: str) -> float:
    """The step of a log line; infinite for a line that is none."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _lines(path: Path) -> list[str]:
    """Complete lines of a JSON-lines file; a half-written last line is dropped."""
    if not path.exists():
        return []
    return [
        line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
    ]


@torch.no_grad()
def sample_grid(
    encoder: Encoder, decoder: torch.nn.Module, image: Tensor
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
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
    rows = torch.cat([column.float() for column in columns], dim=3)  # (N, 3, S, S * columns)
    picture = rows.permute(0, 2, 3, 1).reshape(-1, rows.shape[3], 3)
    return np.asarray((picture * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy())
