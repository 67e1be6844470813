"""Workers of an event loop that edit videos from a queue, two at a time, with one editor.

python asyncio_worker.py a.mp4 b.mp4 c.mp4      # writes a_edited.mp4, ...; Ctrl-C leaves playable files
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

from aif.runtime import Editor, VideoEditor, VideoSink, VideoSource, run_pipeline
from aif.runtime.errors import AifError

EDITS, WORKERS = {"Smiling": 1.0}, 2


async def edit_video(editor: Editor, path: Path, done: dict[Path, int]) -> int:
    """Edit one video in a thread; the number of its frames. `done` tells the loop how far it is."""
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def work() -> int:
        # A stream has a video editor of its own; the editor's networks serve all of them.
        with (
            VideoSource(path) as source,
            VideoEditor(editor, EDITS) as video,
            VideoSink(path.with_stem(f"{path.stem}_edited"), source) as sink,
        ):
            result = run_pipeline(
                source,
                lambda frame, time_s: video.process(frame, time_s).image_hwc_bgr,
                sink,
                stop=stop,
                progress=lambda count: loop.call_soon_threadsafe(done.__setitem__, path, count),
            )
        return result.frames

    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()  # the frame in work is finished, and the file so far is closed properly
        await task
        raise


async def worker(editor: Editor, jobs: asyncio.Queue[Path], done: dict[Path, int]) -> None:
    """Take videos from the queue until it is empty; a video that fails does not stop the others."""
    while not jobs.empty():
        path = jobs.get_nowait()
        try:
            print(f"{path}: {await edit_video(editor, path, done)} frames")
        except AifError as error:
            print(f"{path}: {error}", file=sys.stderr)


async def main(*paths: str) -> dict[Path, int]:
    """Edit the videos; frames edited, by video."""
    jobs: asyncio.Queue[Path] = asyncio.Queue()
    for path in paths:
        jobs.put_nowait(Path(path))
    done: dict[Path, int] = {}
    with Editor.load() as editor:
        await asyncio.gather(*(worker(editor, jobs, done) for _ in range(WORKERS)))
    return done


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
