"""Draw docs/images/composition_*.jpg: the portrait as it is, edited without, and edited with each measure.

    python docs/images/composition.py

The portrait is the astronaut of scikit-image (public domain). The face is found once; its exposure
and what hides it are changed afterwards.
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from aif.runtime import Editor, compose
from aif.runtime.align import (
    Float32Array,
    UInt8Array,
    alignment_residual,
    face_crops,
    frontality,
    similarity_transform,
)
from aif.runtime.compose import FacePatch, composite
from aif.runtime.exposure import Exposure, decode_both, encode_levelled
from aif.runtime.image_io import demo_picture

SIDE, NOTHING_HIDES = 260, (8.0, 9.0)
Panels = tuple[UInt8Array, UInt8Array, UInt8Array]


def panels(
    editor: Editor, photo: UInt8Array, points: Float32Array, edits: Mapping[str, float], measure: str
) -> Panels:
    """The photo, its edit without `measure`, and the one with everything."""
    model = editor.model
    matrix = similarity_transform(points, model.image_size)
    crops = face_crops(photo, [matrix], model.image_size)
    columns = editor.columns(edits)

    def edited(without: str) -> UInt8Array:
        encoding, exposure = encode_levelled(model, crops)
        if without == "exposure":
            encoding = model.encode(crops)
            exposure = Exposure(np.ones_like(exposure.gain), np.zeros_like(exposure.offset))
        target = encoding.y.copy()
        for column, value in columns.items():
            target[:, column] = value
        before, after = decode_both(model, encoding, exposure, encoding.y, target)
        names = () if without == "region" else tuple(edits)
        residual = alignment_residual(points, matrix, model.image_size)
        strength = 1.0 if without == "fading" else frontality(residual)
        patch = FacePatch(matrix, crops[0], before[0], after[0], names, strength)
        usual, compose.HIDDEN = compose.HIDDEN, NOTHING_HIDES if without == "hidden" else compose.HIDDEN
        try:
            return composite(photo, [patch], model.manifest.compositing)
        finally:
            compose.HIDDEN = usual

    return photo, edited(measure), edited("")


def turned_away(photo: UInt8Array, points: Float32Array, width: float) -> tuple[UInt8Array, Float32Array]:
    """The photo squeezed to `width` of its own around the face, as a head that turns looks narrower.

    No real profile, but the landmarks miss the template in the same way.
    """
    middle = float(points[:, 0].mean())
    matrix = np.array([[width, 0, middle * (1 - width)], [0, 1, 0]], dtype=np.float32)
    size = (photo.shape[1], photo.shape[0])
    squeezed = cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(squeezed, np.uint8), (points * (width, 1) + (matrix[0, 2], 0)).astype(np.float32)


def cut_off(editor: Editor, photo: UInt8Array, points: Float32Array, share: float) -> Panels:
    """The right edge cuts off `share` of the face, edited with black and with repeated pixels beyond.

    What lies beyond the frame is white in the pictures.
    """
    left, right = float(points[:, 0].min()) - 22, float(points[:, 0].max()) + 22
    edge = round(right - share * (right - left))
    cut = np.ascontiguousarray(photo[:, :edge])
    edits = {"Smiling": 0.0, "Mouth_Slightly_Open": 0.0}
    black = cv2.copyMakeBorder(cut, 0, 0, 0, photo.shape[1] - edge, cv2.BORDER_CONSTANT)
    before = panels(editor, np.asarray(black, np.uint8), points, edits, "")[2][:, :edge]
    pictures = (cut, before, panels(editor, cut, points, edits, "")[2])
    whole = panels(editor, photo, points, edits, "")[2][:, :edge].astype(np.float32)
    away = [np.abs(each - whole)[50:160, round(left) :].mean() for each in pictures[1:]]
    print(f"edge at {share:g}: from the whole photo's edit {away[0]:.2f} before, {away[1]:.2f} after")
    beyond = photo.shape[1] - edge
    white = [
        cv2.copyMakeBorder(each, 0, 0, 0, beyond, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        for each in pictures
    ]
    return white[0], white[1], white[2]  # type: ignore[return-value]


def strip(rows: list[Panels], titles: tuple[str, str, str], area: tuple[int, int, int, int]) -> UInt8Array:
    """Rows of three pictures, cut to `area` (left, top, right, bottom), under their titles."""
    left, top, right, bottom = area
    head = []
    for title in titles:
        cell = np.full((26, SIDE, 3), 255, np.uint8)
        cv2.putText(cell, title, (5, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        head.append(cell)
    lines = [np.hstack(head)]
    height = SIDE * (bottom - top) // (right - left)
    for row in rows:
        cut = [
            cv2.resize(each[top:bottom, left:right], (SIDE, height), None, 0, 0, cv2.INTER_CUBIC)
            for each in row
        ]
        lines.append(np.hstack(cut))
    return np.vstack(lines)


def main(folder: Path) -> None:
    """Write the pictures into `folder`."""
    photo = demo_picture().pixels_hwc_bgr
    with Editor.load(provider="cpu") as editor:
        points = editor.detect(photo)[0].landmarks
        area = (125, 0, 325, 220)

        regions = [
            panels(editor, photo, points, edits, "region")
            for edits in (
                {"Smiling": 0.0, "Mouth_Slightly_Open": 0.0},
                {"Eyeglasses": 1.0},
                {"Blond_Hair": 0.0},
            )
        ]
        dark = (255 * (photo / 255.0) ** 2.2).astype(np.uint8)
        pale = (90 + 0.4 * photo).astype(np.uint8)
        blue = (photo * np.array([1.0, 0.8, 0.55])).astype(np.uint8)
        exposures = [
            panels(editor, each, points, {"Smiling": 0.0, "Mouth_Slightly_Open": 0.0}, "exposure")
            for each in (dark, pale, blue)
        ]
        covered = photo.copy()
        mouth = points[3:].mean(axis=0).astype(int)
        cv2.rectangle(
            covered, (mouth[0] - 30, mouth[1] - 16), (mouth[0] + 30, mouth[1] + 20), (150, 90, 20), -1
        )
        hand = photo.copy()
        skin = tuple(int(v) for v in np.median(photo[90:110, 200:240].reshape(-1, 3), axis=0) * 0.85)
        for k in range(4):
            y = int(mouth[1]) - 12 + 9 * k
            cv2.line(hand, (int(mouth[0]) - 18, y), (int(mouth[0]) + 80, y + 8), skin, 8, cv2.LINE_AA)
        hidden = [panels(editor, each, points, {"Smiling": 0.0}, "hidden") for each in (covered, hand)]

        turned = [turned_away(photo, points, width) for width in (0.5, 0.45, 0.3)]
        profiles = [panels(editor, *each, {"Smiling": 0.0}, "fading") for each in turned]
        # Cut through the face; the rest of the picture is what lies beyond the frame, and is drawn white.
        edges = [cut_off(editor, photo, points, share) for share in (0.25, 0.5)]

    for name, rows, without in (
        ("regions", regions, "whole crop"),
        ("exposure", exposures, "as it is"),
        ("hidden", hidden, "painted over"),
        ("profile", profiles, "in full"),
        ("edge", edges, "black beyond"),
    ):
        for shown, before, after in rows:
            changed = [np.abs(each.astype(np.float32) - shown).mean() for each in (before, after)]
            print(f"{name}: mean change of the picture {changed[0]:.3f} before, {changed[1]:.3f} after")
        part = (175, 50, 275, 160) if name == "profile" else area
        sheet = strip(rows, ("photo", f"before: {without}", "after"), part)
        cv2.imwrite(str(folder / f"composition_{name}.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main(Path(__file__).parent)
