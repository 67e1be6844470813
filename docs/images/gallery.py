"""Draw docs/images/gallery_*.jpg: every attribute of a bundle from -1 to 2, on public-domain portraits.

    python docs/images/gallery.py [BUNDLE]

The portraits are the astronaut of scikit-image and matplotlib's grace_hopper.jpg. Everything goes the way of
`aif-edit PHOTO --sweep NAME`: found, aligned, edited and blended in the bundle's default mode.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib import get_data_path

from aif.runtime import Editor
from aif.runtime.editing.sheets import face_view
from aif.runtime.image.io import demo_picture, read_image
from aif.runtime.image.picture import Picture

VALUES = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
SIDE, NAMES, HEAD = 150, 220, 26


def written(text: str, width: int, height: int) -> np.ndarray:
    """Black words on white paper, uint8 (height, width, 3)."""
    cell = np.full((height, width, 3), 255, np.uint8)
    place = (5, height // 2 + 5)
    cv2.putText(cell, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return cell


def sheet(editor: Editor, picture: Picture, names: Sequence[str]) -> np.ndarray:
    """One row an attribute: its name, the photo's largest face, and the face at each of `VALUES`."""
    photo = picture.pixels_hwc_bgr
    face = editor.analyse(photo, "largest")[0]
    size = editor.model.image_size
    original = face_view(photo, face.matrix, size, SIDE)
    titles = ("", "original", *(f"{value:g}" for value in VALUES))
    rows = [np.hstack([written(t, NAMES if k == 0 else SIDE, HEAD) for k, t in enumerate(titles)])]
    for name in names:
        cells = [written(f"{name} ({face.y[name]:.2f})", NAMES, SIDE), original]
        for value in VALUES:
            edited = editor.edit(photo, {name: value}, detections=[face.detection])
            cells.append(face_view(edited.image_hwc_bgr, face.matrix, size, SIDE))
        rows.append(np.hstack(cells))
    return np.vstack(rows)


def main(folder: Path, bundle: Path | None) -> None:
    """Write the pictures into `folder`."""
    hopper = Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"
    portraits = {"astronaut": demo_picture(), "hopper": read_image(hopper)}
    with Editor.load(bundle, provider="cpu") as editor:
        for name, picture in portraits.items():
            pixels = sheet(editor, picture, editor.attributes)
            cv2.imwrite(str(folder / f"gallery_{name}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main(Path(__file__).parent, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
