"""Edited frames as a generator: taken one by one as they are asked for, in memory of constant size.

python frame_generator.py clip.mp4 stills       # every 25th frame with an edited face, as a picture
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import cv2

from aif.runtime import Editor, VideoEditor, VideoFrameResult, VideoSource
from aif.runtime.errors import AifError

EVERY = 25


def edited_frames(path: str, edits: Mapping[str, float]) -> Iterator[VideoFrameResult]:
    """The edited frames of a video, in order. Closing the generator early closes all that it opened."""
    with VideoSource(path) as source, Editor.load() as editor, VideoEditor(editor, edits) as video:
        yield from video.edit_frames((frame.image_hwc_bgr, frame.time_s) for frame in source)


def main(path: str, folder: str, attribute: str = "Smiling", most: str = "100") -> None:
    """Write stills of a video, at most so many."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    count = 0
    try:
        faces = (
            r for r in edited_frames(path, {attribute: 1.0}) if any(face.weight > 0.9 for face in r.faces)
        )
        for result in islice(faces, 0, EVERY * int(most), EVERY):
            cv2.imwrite(str(place / f"{count:04}.png"), result.image_hwc_bgr)
            count += 1
    except AifError as error:  # says what to do about it
        raise SystemExit(str(error)) from None
    print(f"{count} pictures in {place}")


if __name__ == "__main__":
    main(*sys.argv[1:])
