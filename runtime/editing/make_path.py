"""Which path a model's edits take."""

from __future__ import annotations

from typing import Any

from aif.runtime.editing.path import EditPath
from aif.runtime.model.model import FaceModel


def make_path(model: FaceModel, threads: int | None = None) -> EditPath[Any]:
    """The path for a model.

    Args:
        model: the networks.
        threads: threads of the networks that a model with shape needs beside them; None = one a core.
    """
    if model.manifest.frame == "shape":
        from aif.runtime.editing.shape.path import ShapePath

        return ShapePath(model, threads)
    from aif.runtime.editing.similarity.path import SimilarityPath

    return SimilarityPath(model)
