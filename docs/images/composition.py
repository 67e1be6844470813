"""Draw docs/images/composition.jpg: how a smile leaves a photo, step by step.

    python docs/images/composition.py [BUNDLE]

The portrait is the astronaut of scikit-image. From left to right: the photo with its landmarks and where
they go, its texture on the mean shape, the gain (grey = none), the photo with its landmarks moved, and the
gain on top.
"""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from aif.runtime import Editor
from aif.runtime.editing.shape.edit import apply_edit
from aif.runtime.editing.shape.path import ShapePath
from aif.runtime.editing.shape.warp import FacePlace
from aif.runtime.editing.values import decode_values
from aif.runtime.image.io import demo_picture

EDIT = {"Smiling": 0.0}
SIDE = 300


def main(out: Path, bundle: Path | None) -> None:
    """Write the picture."""
    photo = demo_picture().pixels_hwc_bgr
    with Editor.load(bundle, provider="cpu") as editor:
        path = editor.path
        assert isinstance(path, ShapePath)
        views = path.look(photo, editor.detect(photo)[:1])
        encoded = path.encode(path.cut(photo, views))
        infos = path.model.manifest.attributes
        source, target = decode_values(encoded.encoding.y, editor.columns(EDIT), infos)
        edit = path.change(encoded, source, target)[0].edit
        place = FacePlace.of(path.frame, np.asarray(views[0].points), photo.shape)
        left, top, right, bottom = place.box
        moved, result, marked = photo.copy(), photo.copy(), photo.copy()
        still = replace(edit, gain=np.zeros_like(edit.gain), detail=np.zeros_like(edit.detail))
        apply_edit(moved, path.frame, place, still)
        apply_edit(result, path.frame, place, edit)
        for start, end in zip(place.points, place.points + place.in_photo(edit.moves), strict=True):
            places = [tuple(int(16 * v) for v in point) for point in (start, end)]
            cv2.circle(marked, places[0], 16, (255, 255, 255), -1, cv2.LINE_AA, shift=4)
            cv2.line(marked, *places, (80, 220, 80), 1, cv2.LINE_AA, shift=4)
        texture = (255 * encoded.inputs.images[0][::-1].transpose(1, 2, 0)).astype(np.uint8)
        gain = (127 + 280 * edit.gain[..., ::-1]).clip(0, 255).astype(np.uint8)
        cells = [marked[top:bottom, left:right], texture, gain]
        cells += [image[top:bottom, left:right] for image in (moved, result)]
    sheet = np.hstack([cv2.resize(cell, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for cell in cells])
    cv2.imwrite(str(out), sheet, [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    main(Path(__file__).with_name("composition.jpg"), Path(sys.argv[1]) if len(sys.argv) > 1 else None)
