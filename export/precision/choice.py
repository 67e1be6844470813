"""What `--precision` and `--data` name, before PyTorch or the library of ONNX is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aif.runtime.errors import ConfigError, ExportError, nearest_names

if TYPE_CHECKING:
    from aif.train.data.base import FaceDataset

PRECISIONS = ("fp32", "fp16", "int8")


def parse_precisions(text: str) -> tuple[str, ...]:
    """The precisions of "fp32,fp16,int8" other than fp32, which every bundle holds.

    Raises:
        ConfigError: an unknown name, or none.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PRECISIONS:
            raise ConfigError(f"There is no precision {name!r}.", nearest_names(name, PRECISIONS))
    if not names:
        raise ConfigError("--precision names no precision.", f"Known: {', '.join(PRECISIONS)}.")
    return tuple(name for name in PRECISIONS[1:] if name in names)


def check_mode(mode: str | None, shaped: bool) -> None:
    """Raise ConfigError for a compositing mode that models with (`shaped`) or without shape do not have."""
    known = ("warp",) if shaped else ("delta", "replace")
    if mode is not None and mode not in known:
        fix = f"Choose {' or '.join(known)}, or leave it out."
        raise ConfigError(f"This model cannot be composited by {mode!r}.", fix)


def check_real(faces: FaceDataset, trained_on: str) -> None:
    """Refuse faces that nobody named where they are synthetic and the model is one of photographs.

    Raises:
        ExportError: the faces are synthetic, and the model was trained on others.
    """
    from aif.train.data.synthetic import SyntheticFaces

    if isinstance(faces, SyntheticFaces) and trained_on != faces.name:
        raise ExportError(
            f"FP16, INT8 and engines are checked, and INT8 is calibrated, on real faces; the model was "
            f"trained on {trained_on}, and where those faces are is not known.",
            "Name faces: --data FOLDER (aligned crops, labels are not needed). For a trial with synthetic "
            "faces, which the manifest will then say: --data synthetic",
        )
