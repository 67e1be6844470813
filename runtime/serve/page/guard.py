"""What a browser may hand to the page: files that it has uploaded, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def guard_inputs(blocks: Any, folder: Path) -> None:
    """Refuse every input that names a file outside `folder`, before Gradio opens, copies or fetches it.

    Gradio's own check is off until `launch` has been called, which a mounted page never does, and addresses
    (http://...) it fetches itself, of any size.

    Args:
        blocks: the page.
        folder: where Gradio puts uploads.
    """
    import gradio

    inner, own = blocks.preprocess_data, folder.resolve()

    async def guarded(block_fn: Any, inputs: list[Any], *rest: Any, **more: Any) -> Any:
        if not all(_lies_in(path, own) for path in _paths(inputs)):
            raise gradio.Error("The page takes uploaded files only.", print_exception=False)
        return await inner(block_fn, inputs, *rest, **more)

    blocks.preprocess_data = guarded
    blocks.has_launched = True  # Gradio's own check, too
    blocks.is_running = True  # else an SVG that somebody uploads counts as a part of the page


def _paths(data: Any) -> list[Any]:
    """Whatever stands where Gradio looks for a file, at any depth."""
    if isinstance(data, dict):
        found = [data["path"]] if "path" in data else []
        return found + [path for value in data.values() for path in _paths(value)]
    return [path for value in data for path in _paths(value)] if isinstance(data, list) else []


def _lies_in(path: Any, folder: Path) -> bool:
    try:
        found = Path(path).resolve(strict=True)
    except (OSError, TypeError, ValueError):
        return False
    return found.is_file() and found.is_relative_to(folder)
