"""The frame of many faces: their mean shape and the triangles over it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.tri import Triangulation

from aif.runtime.errors import DataError
from aif.runtime.geometry import points as dense
from aif.runtime.geometry.align import similarity_transform, transform_points
from aif.runtime.geometry.frame import RING, Frame

# A mouth counts as open from this distance between the inner lips, in units of the crop's side.
OPEN = 0.02


def open_mouths(points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whose mouths are open far enough for their inside to be seen, bool (N,), of landmarks (N, 221, 2) in
    units of the crop's side."""
    return dense.mouth_opening(points) > OPEN


def aligned(points: npt.ArrayLike, size: int) -> npt.NDArray[np.float32]:
    """Landmarks (N, 221, 2) in pixels of any image, each moved to its own crop: units of the crop's side.

    The crop is the one that `Frame.normalise` cuts: aligned by the five landmarks that follow from the dense
    ones. `size` only sets the precision at which the similarity is computed.
    """
    faces = np.asarray(points, dtype=np.float32)
    moved = [
        transform_points(face, similarity_transform(five, size)) / np.float32(size)
        for face, five in zip(faces, dense.five_points(faces), strict=True)
    ]
    return np.stack(moved) if moved else np.empty((0, dense.COUNT, 2), np.float32)


def make_frame(points: npt.ArrayLike) -> Frame:
    """The symmetric mean of the faces whose mouths are open, and Delaunay triangles over it and its ring of
    anchors.

    An opening has to be in the mean shape for the inside of a mouth to have a place in textures.

    Args:
        points: (N, 221, 2) landmarks in units of the crop's side.

    Raises:
        DataError: fewer than ten faces have an open mouth, or their mean mouth has no inside of its own.
    """
    faces = np.asarray(points, dtype=np.float64)
    faces = faces[open_mouths(faces)]
    if len(faces) < 10:
        raise DataError(
            f"A mean shape needs at least ten faces with an open mouth; there are {len(faces)}.",
            "Use more faces.",
        )
    mean = faces.mean(axis=0)
    mirrored = mean[dense.MIRROR] * (-1, 1)
    mirrored[:, 0] += mean[:, 0].mean() - mirrored[:, 0].mean()
    mean = (mean + mirrored) / 2
    outline = mean[dense.FACE_OVAL]
    centre = outline.mean(axis=0)
    vertices = np.concatenate([mean, centre + (outline - centre) * RING])
    triangles = Triangulation(vertices[:, 0], vertices[:, 1]).triangles
    frame = Frame(mean.astype(np.float32), triangles.astype(np.int32))
    ring = dense.INNER_LIP.stop - dense.INNER_LIP.start
    if int(frame.inner_mouth.sum()) != ring - 2:  # as many triangles as a polygon of the ring's corners has
        raise DataError(
            "The mean mouth of these faces is too narrow to be opened and shut.", "Use more faces that smile."
        )
    return frame
