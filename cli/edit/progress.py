"""How far a run and a video are, for a person at a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aif.cli import console

if TYPE_CHECKING:
    from aif.runtime.batch.video import FrameProgress


@contextlib.contextmanager
def _unseen(name: str, count: int | None) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


@contextlib.contextmanager
def bars(total: int) -> Iterator[tuple[Callable[[], None], FrameProgress]]:
    """Progress bars where standard error is a terminal: one over so many inputs (two or more), one over a
    video's frames, with frames a second and the time left.

    Yields:
        What to call when an input is done; and what makes the bar of a video, for its name and the number of
        its frames (None = not known).
    """
    error_console = console.error_console()
    if not error_console.is_terminal:
        yield lambda: None, _unseen
        return
    from rich import progress as rich_progress
    from rich.text import Text

    class Speed(rich_progress.ProgressColumn):
        def render(self, task: rich_progress.Task) -> Text:
            unit = task.fields["unit"]
            return Text(f"{task.speed:.1f} {unit}" if task.speed and unit else "")

    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        Speed(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=error_console, transient=True) as progress:
        inputs = progress.add_task("Editing", total=total, visible=total > 1, unit="")

        @contextlib.contextmanager
        def frames(name: str, count: int | None) -> Iterator[Callable[[int], None]]:
            task = progress.add_task(name, total=count, unit="frames/s")
            try:
                # The estimate may be a few frames short: the bar then grows instead of going beyond its end.
                yield lambda done: progress.update(
                    task, completed=done, total=None if count is None else max(count, done)
                )
            finally:
                progress.remove_task(task)

        yield lambda: progress.advance(inputs), frames
