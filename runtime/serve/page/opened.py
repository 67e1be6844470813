"""What the page does with a photo: look at it, show an edit, sweep an attribute, write the whole file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from aif.runtime.arrays import UInt8Array
from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.editor import Editor, FaceAnalysis, FaceChoice
from aif.runtime.editing.options import find_attribute, sweep_values
from aif.runtime.editing.sheets import sweep_rows
from aif.runtime.image.io import encode_image
from aif.runtime.image.kinds import SUFFIXES
from aif.runtime.image.picture import Picture
from aif.runtime.serve.forms import EditOptions
from aif.runtime.serve.photo import Edited, edit_photo, read_picture
from aif.runtime.serve.service import Checkpoint

# Longest side of what the page shows; the file to download has the photo's own size.
SHOWN = 1280

# A slider that is nearer than this to the predicted value has not been moved.
STILL = 0.006

SWEEP_STEPS = 7


@dataclass(frozen=True, eq=False)
class Opened:
    """A photo on the page: its file, as the browser sent it; as it is shown (at most `SHOWN` px long,
    upright, 8 bits), with the faces there, left to right; and the file that the browser has of that.
    """

    path: Path
    shown: Picture
    faces: tuple[FaceAnalysis, ...]
    before: Path = Path()

    def chosen(self, faces: FaceChoice) -> tuple[FaceAnalysis, ...]:
        """The faces that are edited: all, or one of them."""
        return (self.faces[faces],) if isinstance(faces, int) else self.faces

    def before_share(self) -> float:
        """How much of the picture, from the left, lies before all faces: per cent, for the divider."""
        boxes = np.array([face.detection.box_xywh for face in self.faces])
        left = float(np.min(boxes[:, 0] - 0.4 * boxes[:, 2]))
        return min(max(100 * left / self.shown.width, 2.0), 60.0)

    def predicted(self, faces: FaceChoice) -> dict[str, float]:
        """The attribute values to mark: of the chosen face, or of the largest of all."""
        largest = max(self.chosen(faces), key=lambda face: float(np.prod(face.detection.box_xywh[2:])))
        return largest.y

    def moved(
        self, faces: FaceChoice, values: Sequence[float], attributes: Sequence[AttributeInfo]
    ) -> dict[str, float]:
        """The attributes whose slider does not stand at its predicted value any more, within their range."""
        start = self.predicted(faces)
        return {
            info.name: min(max(float(value), info.minimum), info.maximum)
            for info, value in zip(attributes, values, strict=True)
            if abs(value - start[info.name]) > STILL
        }


def open_photo(editor: Editor, path: Path, megapixels: float, checkpoint: Checkpoint) -> Opened:
    """Read a photo and find its faces; errors as of `read_picture` and `Editor.analyse`."""
    picture = read_picture(path.read_bytes(), megapixels)
    checkpoint()
    pixels = picture.pixels_hwc_bgr
    height, width = pixels.shape[:2]
    scale = min(1.0, SHOWN / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    # Laid out as a sheet is: neither transparency nor 16 bits, which a screen does not need.
    shown = replace(picture.sheet(pixels), is_grey=picture.is_grey, format="JPEG")
    return Opened(path, shown, editor.analyse(pixels))


def jpeg(picture: Picture, pixels_hwc_bgr: UInt8Array) -> bytes:
    """What the browser shows."""
    return encode_image(replace(picture, pixels_hwc_bgr=pixels_hwc_bgr), pixels_hwc_bgr, "JPEG", 92)


def show_edit(editor: Editor, opened: Opened, options: EditOptions, checkpoint: Checkpoint) -> bytes:
    """The photo as shown, edited; the photo itself where no slider was moved."""
    frame = opened.shown.pixels_hwc_bgr
    if not options.settings:
        return jpeg(opened.shown, frame)
    detections = [face.detection for face in opened.chosen(options.faces)]
    result = editor.edit(frame, options.settings, options.mode, "all", detections)
    checkpoint()
    return jpeg(opened.shown, result.image_hwc_bgr)


def show_sweep(
    editor: Editor, opened: Opened, name: str, options: EditOptions, checkpoint: Checkpoint
) -> list[tuple[str, bytes]]:
    """One attribute through its range, the others as the sliders have them: captions and JPEGs."""
    others = {key: value for key, value in options.settings.items() if key != name}
    known = editor.model.manifest.attributes
    info = find_attribute(name, known, "this bundle")
    sweep = name, sweep_values(info, SWEEP_STEPS, others)
    faces = opened.chosen(options.faces)
    rows = sweep_rows(editor, opened.shown, faces, sweep, others, options.mode, lambda _: checkpoint())
    return [(panel.caption, jpeg(opened.shown, panel.pixels_hwc_bgr)) for row in rows for panel in row]


def whole_file(
    editor: Editor, opened: Opened, options: EditOptions, megapixels: float, checkpoint: Checkpoint
) -> tuple[str, Edited]:
    """The photo in its own size and format, edited, and a name for it."""
    done = edit_photo(editor, opened.path.read_bytes(), options, megapixels, checkpoint)
    suffix = next(suffix for suffix, kind in SUFFIXES.items() if kind == done.kind)
    stem = "".join(c if c.isalnum() or c in "-_ " else "_" for c in opened.path.stem)[:60] or "photo"
    return f"{stem}_edited{suffix}", done
