"""One photo's way through the editor, with a checkpoint between the stages and the time of each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from aif.runtime.editing.editor import Editor, FaceAnalysis, FaceChoice, FaceEdit
from aif.runtime.errors import ImageError, ImageTooLargeError
from aif.runtime.image.io import encode_image, read_image
from aif.runtime.image.kinds import Format
from aif.runtime.image.picture import Picture
from aif.runtime.serve.errors import ServiceError
from aif.runtime.serve.forms import EditOptions
from aif.runtime.serve.service import Checkpoint


@dataclass
class Edited:
    """What became of a photo: its faces, and how many there are with those that were not edited; the edited
    file and its format; and seconds by stage: "read", those of `Editor.edit` ("decode_faces" is the decoder
    network), "write". Of one that was only looked at there are no file and no such number.
    """

    size: tuple[int, int]
    faces: Sequence[FaceAnalysis | FaceEdit]
    seconds: dict[str, float]
    data: bytes = b""
    kind: Format = "JPEG"
    found: int | None = None


def edit_photo(
    editor: Editor, photo: bytes, options: EditOptions, megapixels: float, checkpoint: Checkpoint
) -> Edited:
    """Read, edit and write a photo; the checkpoint is called between the stages.

    Raises:
        AifError: as `read_picture` and `Editor.edit`.
        ServiceError: cannot_write: the wanted format cannot hold the picture.
    """
    begin = time.perf_counter()
    picture = read_picture(photo, megapixels)
    seconds = {"read": time.perf_counter() - begin}
    checkpoint()
    result = editor.edit(picture.pixels_hwc_bgr, options.settings, options.mode, options.faces)
    for stage, value in result.timings.items():
        seconds["decode_faces" if stage == "decode" else stage] = value
    checkpoint()
    begin = time.perf_counter()
    try:
        data = encode_image(picture, result.image_hwc_bgr, options.kind, options.quality)
    except ImageError as error:
        raise ServiceError("cannot_write", error.message, error.fix) from error
    seconds["write"] = time.perf_counter() - begin
    size, kind = (picture.width, picture.height), options.kind or picture.format
    return Edited(size, result.faces, seconds, data, kind, result.found)


def analyse_photo(
    editor: Editor, photo: bytes, faces: FaceChoice, megapixels: float, checkpoint: Checkpoint
) -> Edited:
    """Read a photo and predict the attributes of its faces; arguments and errors as of `edit_photo`."""
    begin = time.perf_counter()
    picture = read_picture(photo, megapixels)
    middle = time.perf_counter()
    checkpoint()
    found = editor.analyse(picture.pixels_hwc_bgr, faces)
    seconds = {"read": middle - begin, "analyse": time.perf_counter() - middle}
    return Edited((picture.width, picture.height), found, seconds)


def read_picture(photo: bytes, megapixels: float) -> Picture:
    """The picture, upright. ImageError as `read_image`; of a large one it says what a client can do."""
    try:
        return read_image(photo, "The photo", megapixels)
    except ImageTooLargeError as error:
        raise ImageTooLargeError(error.message, f"Shrink it to at most {megapixels:g} megapixels.") from error
