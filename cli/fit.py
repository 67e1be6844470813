"""`aif fit`: train the instruments, an evaluator, an identity, a landmark or a matte network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aif.cli.options import Debug, Verbose, Version


def fit(
    what: Annotated[str, typer.Argument(help="evaluator, identity, landmarks or matte.")],
    data: Annotated[Path, typer.Option(help="Labelled faces with a train and a val split.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Evaluator, identity: a folder. Landmarks, matte: an .onnx file."),
    ],
    table: Annotated[
        Path | None, typer.Option(help="The CSV of labels, where it is not beside the images.")
    ] = None,
    faces: Annotated[
        int | None, typer.Option(help="Training length in faces seen; None: the default.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that decode images. None: one a core.")
    ] = None,
    version: Version = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Train the evaluator or identity network that judge edits, or the landmark or matte network of bundles.

    Interrupted, the same command goes on from its last checkpoint.
    The matte network learns from faces with hair masks instead of labels (docs/data.md).

    Examples: aif fit evaluator --data faces128 -o runs/evaluator;
    aif fit landmarks --data faces128 -o landmarks.onnx;
    aif fit matte --data hair128 -o matte.onnx
    """
    from aif.runtime.errors import ConfigError, nearest_names

    if what == "evaluator":
        _evaluator(data, table, out, faces, workers)
    elif what == "identity":
        _identity(data, table, out, faces, workers)
    elif what == "landmarks":
        _landmarks(data, table, out, faces, workers)
    elif what == "matte":
        _matte(data, out, faces, workers)
    else:
        raise ConfigError(
            f"There is no instrument {what!r}.",
            nearest_names(what, ["evaluator", "identity", "landmarks", "matte"]),
        )


def _evaluator(data: Path, table: Path | None, out: Path, faces: int | None, workers: int | None) -> None:
    import dataclasses

    from aif.train.data.augment import Augmentation
    from aif.train.data.cache import cached
    from aif.train.data.loader import FaceLoader, evaluation_batches
    from aif.train.data.open import open_faces
    from aif.train.evaluators.evaluator import EvaluatorConfig, train_evaluator

    config = EvaluatorConfig()
    if faces is not None:
        config = dataclasses.replace(config, faces=faces)
    size = config.image_size * 9 // 8  # the evaluator's own jitter crops from a little more
    train = open_faces(data, "train", None, table=table, image_size=size)
    validation = open_faces(data, "val", None, table=table, image_size=size)
    batches = FaceLoader(
        cached(train), size, 128, config.seed, augment=Augmentation(flip=False), workers=workers
    )
    held_out = list(evaluation_batches(validation, size, 256))
    judge = train_evaluator(batches, held_out, train.attributes, out, config, log=typer.echo)
    for name, score in judge.scores.items():
        typer.echo(f"{name}: {100 * score.accuracy:.1f}% of {score.n}")


def _identity(data: Path, table: Path | None, out: Path, faces: int | None, workers: int | None) -> None:
    import dataclasses

    from aif.train.data.augment import Augmentation
    from aif.train.data.cache import cached
    from aif.train.data.loader import FaceLoader, evaluation_batches
    from aif.train.data.open import open_faces
    from aif.train.evaluators.identity import IdentityConfig, known_identities, train_identity

    config = IdentityConfig()
    if faces is not None:
        config = dataclasses.replace(config, faces=faces)
    size = config.image_size * 9 // 8  # the network's own jitter crops from a little more
    train = open_faces(data, "train", None, table=table, image_size=size)
    validation = open_faces(data, "val", None, table=table, image_size=size)
    people, held_out = known_identities(train), known_identities(validation)
    batches = FaceLoader(
        cached(train), size, 128, config.seed, augment=Augmentation(flip=False), workers=workers
    )
    judge = train_identity(
        batches, people, evaluation_batches(validation, size, 256), held_out, out, config, log=typer.echo
    )
    found = judge.verification
    typer.echo(f"verification: {100 * found.accuracy:.1f}% of {found.pairs} pairs, AUC {found.auc:.3f}")


def _landmarks(data: Path, table: Path | None, out: Path, faces: int | None, workers: int | None) -> None:
    import dataclasses

    from aif.runtime.faces.landmarks import LandmarkNet
    from aif.train.data.cache import cached
    from aif.train.data.dense import read_dense
    from aif.train.data.open import open_faces
    from aif.train.landmarks.files import export_landmarks
    from aif.train.landmarks.network import LandmarkConfig
    from aif.train.landmarks.score import score_landmarks
    from aif.train.landmarks.training import train_landmarks

    config = LandmarkConfig()
    if faces is not None:
        config = dataclasses.replace(config, samples=faces)
    train, validation = (open_faces(data, split, None, table=table) for split in ("train", "val"))
    dense, held_out = read_dense(data, train), read_dense(data, validation)
    weights = out.with_suffix(".safetensors")
    train_landmarks(cached(train), dense, weights, config, workers=workers or 0, log=typer.echo)
    error = export_landmarks(weights, out)
    typer.echo(f"{out}: largest difference from the network {error:.1e}")
    score = score_landmarks(LandmarkNet(out.read_bytes(), threads=1), validation, held_out)
    typer.echo(
        f"error in eye distances: all points {100 * score.nme:.2f}%, frontal lips and eyes "
        f"{100 * score.frontal_exact:.2f}%, 95th percentile of faces {100 * score.nme_95:.2f}%; "
        f"faces kept {100 * score.recall:.1f}%, others rejected {100 * score.rejection:.1f}%"
    )


def _matte(data: Path, out: Path, faces: int | None, workers: int | None) -> None:
    import dataclasses

    from aif.train.data.hair import HairPairs
    from aif.train.matte.network import MatteConfig, export_matte, load_matte, score_matte, train_matte

    config = MatteConfig()
    if faces is not None:
        config = dataclasses.replace(config, samples=faces)
    train, validation = HairPairs(data, "train"), HairPairs(data, "val")
    folder = out.with_suffix(".checkpoints")
    images, masks = train.arrays(config.image_size)
    train_matte(images, masks, folder, config, workers=workers or 0, log=typer.echo)
    score = score_matte(load_matte(folder)[0], *validation.arrays(config.image_size))
    error = export_matte(folder, out)
    typer.echo(f"IoU {score.iou:.3f} ({score.face_iou:.3f} a face) on {score.images} held-out faces")
    typer.echo(f"{out}: largest difference from the network {error:.1e}")
