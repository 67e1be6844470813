"""`aif-train --preset linear`: labelled faces in, a model of the linear baseline out, in minutes of one
core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aif.runtime.bundle.attributes import Part
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.manifest import HairInfo
from aif.runtime.errors import ConfigError
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.faces.matte import MatteNet
from aif.runtime.geometry.frame import Frame
from aif.runtime.geometry.points import mouth_opening
from aif.train.data.base import FaceDataset
from aif.train.data.dense import DenseLandmarks
from aif.train.shape.faces.dense_faces import dense_landmarks
from aif.train.shape.faces.hair_colours import HAIR_ATTRIBUTES, measure_hair
from aif.train.shape.faces.known import attribute_infos, region_hint
from aif.train.shape.faces.mean_shape import OPEN, aligned, make_frame
from aif.train.shape.faces.textures import Textures, make_textures
from aif.train.shape.linear.files import SIDECAR, save_linear
from aif.train.shape.linear.fit import LinearConfig, fit_linear
from aif.train.shape.shape_run import ShapeRun

# Fewer open mouths than this make no mean shape of their own: the embedded bundle's is taken.
ENOUGH_FOR_FRAME = 300

# Fewer faces with usable landmarks than this teach nothing.
LEAST_FACES = 50


def open_textures(
    dataset: FaceDataset,
    landmarks: DenseLandmarks,
    size: int,
    faces: int | None = None,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> Textures:
    """The textures of a dataset, in a frame of its own or the embedded bundle's.

    Args:
        dataset: aligned faces.
        landmarks: their dense landmarks.
        size: side of the textures in pixels.
        faces: how many at the most; None = all.
        seed: of the choice of faces.
        log: gets lines.

    Raises:
        DataError, ConfigError: too few faces whose landmarks are sure.
    """
    sure = np.flatnonzero(landmarks.sure)
    if len(sure) < LEAST_FACES:
        raise ConfigError(
            f"{dataset.name} has {len(sure)} faces with sure landmarks; {LEAST_FACES} are needed.",
            "Use real, upright, aligned faces (aif prepare), or a preset without landmarks: residual.",
        )
    rows = np.sort(np.random.default_rng(seed).permutation(sure)[:faces]).astype(np.int64)
    log(f"textures of {len(rows)} faces")
    frame = frame_of(aligned(landmarks.points[rows], size))
    return make_textures(dataset, landmarks, frame, size, rows=rows, log=log)


def frame_of(points: npt.NDArray[np.float32]) -> Frame:
    """The mean shape of landmarks (N, 221, 2) in units of the crop's side; the embedded bundle's for few of
    them.

    Raises:
        ConfigError: they are few, and the embedded bundle has no mean shape.
    """
    if int((mouth_opening(points) > OPEN).sum()) >= ENOUGH_FOR_FRAME:
        return make_frame(points)
    frame = Bundle.open().manifest.face_frame
    if frame is None:
        raise ConfigError(
            f"Fewer than {ENOUGH_FOR_FRAME} faces with an open mouth make no mean shape.", "Use more faces."
        )
    return frame


def train_baseline(
    dataset: FaceDataset,
    root: Path | None,
    out: Path,
    *,
    size: int = 128,
    config: LinearConfig | None = None,
    regions: Mapping[str, tuple[Part, ...]] | None = None,
    matte: MatteNet | None = None,
    log: Callable[[str], None] = print,
) -> ShapeRun:
    """Fit the linear baseline on a dataset and write its folder.

    Args:
        dataset: aligned faces with labels.
        root: the dataset's folder, which may hold `dense.npz`.
        out: folder to write; a model of this kind there is replaced.
        size: side of the textures in pixels.
        config: how it is fitted.
        regions: parts of the face that attributes are about, where a user says so.
        matte: the network that finds hair, for hair colours; None = the embedded bundle's.
        log: gets lines.

    Raises:
        ConfigError: `out` holds something else, or there are too few faces.
    """
    config = config or LinearConfig()
    if out.exists() and any(out.iterdir()) and not (out / SIDECAR).exists():
        raise ConfigError(f"{out} is not empty and holds no such model.", "Choose another --out.")
    if hint := region_hint(dataset.attributes, regions or {}):
        log(hint)
    landmarks = dense_landmarks(dataset, root, lambda: LandmarkNet(Bundle.open()), log)
    faces = open_textures(dataset, landmarks, size, config.faces, config.seed, log)
    encoder, decoder = fit_linear(faces, config, log)
    hair: dict[str, HairInfo] = {}
    if set(HAIR_ATTRIBUTES) & set(dataset.attributes):
        hair = measure_hair(dataset, MatteNet(Bundle.open()) if matte is None else matte, config.seed, log)
    run = ShapeRun(
        encoder=encoder,
        decoder=decoder,
        frame=faces.frame,
        attributes=attribute_infos(dataset.attributes, regions=regions),
        image_size=size,
        latent_size=encoder.z.out_features,
        preset="linear",
        steps=1,
        faces_seen=len(faces),
        seed=config.seed,
        data_name=dataset.name,
        data_fingerprint=dataset.fingerprint,
        data_path=None if root is None else str(root.resolve()),
        hair=hair,
    )
    save_linear(out, run)
    log(f"wrote {out / SIDECAR}")
    return run
