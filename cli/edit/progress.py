"""How far a run and a video are, for a person at a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aif.cli import console

if TYPE_CHECKING:
    from rich.progress import Progress


class Bars:
    """Progress bars where standard error is a terminal: one over the inputs, one over a video's frames."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        """Bars for so many inputs; the first one is shown for two or more."""
        self._progress = progress
        if progress is not None:
            self._inputs = progress.add_task("Editing", total=total, visible=total > 1, unit="")

    def advance(self) -> None:
        """One more input is done."""
        if self._progress is not None:
            self._progress.advance(self._inputs)

    @contextlib.contextmanager
    def frames(self, name: str, frames: int | None) -> Iterator[Callable[[int], None]]:
        """A bar for one video of so many frames (None = not known)."""
        progress = self._progress
        if progress is None:
            yield lambda done: None
            return
        task = progress.add_task(name, total=frames, unit="frames/s")
        try:
            # The estimate may be a few frames short: the bar then grows instead of going beyond its end.
            yield lambda done: progress.update(
                task, completed=done, total=None if frames is None else max(frames, done)
            )
        finally:
            progress.remove_task(task)


@contextlib.contextmanager
def bars(total: int) -> Iterator[Bars]:
    """Bars for so many inputs, with frames a second and the time left."""
    error_console = console.error_console()
    if not error_console.is_terminal:
        yield Bars(None, total)
        return
    from rich import progress as rich_progress
    from rich.text import Text

    class Speed(rich_progress.ProgressColumn):
        def render(self, task: rich_progress.Task) -> Text:
            unit = task.fields.get("unit", "")
            return Text(f"{task.speed:.1f} {unit}" if task.speed and unit else "")

    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        Speed(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=error_console, transient=True) as progress:
        yield Bars(progress, total)
