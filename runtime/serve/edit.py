"""One photo's way through the editor, with a checkpoint between the stages and the time of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aif.runtime.editing.editor import Editor, FaceAnalysis, FaceEdit
from aif.runtime.errors import ImageError, ImageTooLargeError
from aif.runtime.image.io import Format, Picture, encode_image, read_image
from aif.runtime.serve.errors import ServiceError
from aif.runtime.serve.pool import Checkpoint
from aif.runtime.serve.request import Wish

STAGES = ("receive", "wait", "read", "detect", "align", "encode", "decode_faces", "composite", "write")
"""Of a request, in their order; `encode` and `decode_faces` are the networks, `read` and `write` the file."""

NAME = "The photo"


@dataclass
class Edited:
    """What became of a photo.

    Attributes:
        size: width and height in pixels.
        faces: left to right.
        data, kind: the edited file and its format; none where it was only looked at.
        seconds: by stage.
    """

    size: tuple[int, int]
    faces: Sequence[FaceAnalysis | FaceEdit]
    data: bytes = b""
    kind: Format = "JPEG"
    seconds: dict[str, float] = field(default_factory=dict)


def edit_photo(editor: Editor, photo: bytes, wish: Wish, megapixels: float, checkpoint: Checkpoint) -> Edited:
    """Read, edit and write a photo.

    Args:
        editor: shared by all threads.
        photo: the file's bytes.
        wish: what to change.
        megapixels: larger pictures are refused.
        checkpoint: called between the stages; ends the work where it raises.

    Raises:
        AifError: as `read_picture` and `Editor.edit`.
        ServiceError: the wanted format cannot hold the picture.
    """
    clock = _Clock(checkpoint)
    picture = read_picture(photo, megapixels)
    clock.stop("read")
    result = editor.edit(picture.pixels_hwc_bgr, wish.settings, wish.mode, wish.faces)
    for stage, seconds in result.timings.items():
        clock.seconds["decode_faces" if stage == "decode" else stage] = seconds
    clock.stop()
    try:
        data = encode_image(picture, result.image_hwc_bgr, wish.kind, wish.quality)
    except ImageError as error:
        raise ServiceError("cannot_write", error.message, error.fix) from error
    clock.stop("write")
    kind = wish.kind or picture.format
    return Edited((picture.width, picture.height), result.faces, data, kind, clock.seconds)


def analyse_photo(
    editor: Editor, photo: bytes, wish: Wish, megapixels: float, checkpoint: Checkpoint
) -> Edited:
    """Read a photo and predict the attributes of its faces; arguments and errors as of `edit_photo`."""
    clock = _Clock(checkpoint)
    picture = read_picture(photo, megapixels)
    clock.stop("read")
    faces = editor.analyse(picture.pixels_hwc_bgr, wish.faces)
    clock.stop("analyse")
    return Edited((picture.width, picture.height), faces, seconds=clock.seconds)


def read_picture(photo: bytes, megapixels: float) -> Picture:
    """The picture, upright.

    Raises:
        ImageError: see `read_image`; what is too large is told in a client's words, not in the command's.
    """
    try:
        return read_image(photo, NAME, megapixels)
    except ImageTooLargeError as error:
        raise ImageTooLargeError(error.message, f"Shrink it to at most {megapixels:g} megapixels.") from error


class _Clock:
    """Seconds by stage."""

    def __init__(self, checkpoint: Callable[[], None]) -> None:
        self._checkpoint, self._last = checkpoint, time.perf_counter()
        self.seconds: dict[str, float] = {}

    def stop(self, stage: str | None = None) -> None:
        """A stage is over (None: its time is known already); raises where nobody waits any more."""
        now = time.perf_counter()
        if stage is not None:
            self.seconds[stage] = now - self._last
        self._last = now
        self._checkpoint()
