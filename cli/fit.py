"""`aif fit`: train the instruments, an evaluator or an identity network, or one that finds faces or hair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aif.cli.options import Overwrite, Table, Workers, check_new, check_suffix
from aif.runtime.errors import ConfigError, nearest_names
from aif.runtime.files import replacing

if TYPE_CHECKING:
    from aif.train.data.base import FaceDataset
    from aif.train.data.batch import Batch
    from aif.train.data.loader import FaceLoader


def fit(
    what: Annotated[str, typer.Argument(help="evaluator, identity, landmarks, matte or detector.")],
    data: Annotated[Path, typer.Option(help="Labelled faces with a train and a val split.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Evaluator, identity: a folder. The others: an .onnx file.")
    ],
    table: Table = None,
    faces: Annotated[
        int | None, typer.Option(help="Training length in faces seen; None: the default.")
    ] = None,
    workers: Workers = None,
    others: Annotated[
        Path | None, typer.Option(help="Landmarks, detector: a folder of pictures without faces.")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(help="Detector: a folder of whole pictures with faces, found as aif-edit finds them."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Landmarks: checkpoints of an earlier network whose weights to start from."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Train the evaluator or identity network, which measure edits, or one of a bundle: landmarks, matte or
    detector.

    Interrupted, the same command goes on from its last checkpoint.
    The matte network learns from faces with hair masks instead of labels (docs/data.md).

    Examples: aif fit evaluator --data faces128 -o runs/evaluator;
    aif fit landmarks --data faces128 -o landmarks.onnx;
    aif fit matte --data hair128 -o matte.onnx;
    aif fit detector --data faces128 --others scenes -o detector.onnx
    """
    instruments = {
        "evaluator": _evaluator,
        "identity": _identity,
        "landmarks": _landmarks,
        "matte": _matte,
        "detector": _detector,
    }
    if what not in instruments:
        raise ConfigError(f"There is no instrument {what!r}.", nearest_names(what, instruments))
    takes = {"landmarks": ("--others", "--start"), "detector": ("--others", "--pictures")}.get(what, ())
    for option, value in {"--others": others, "--pictures": pictures, "--start": start}.items():
        if value is not None and option not in takes:
            raise ConfigError(f"{option} is not for {what}.", "Leave it out.")
    if what == "detector" and others is None:
        raise ConfigError(
            "The detector learns from pictures without faces, too.", "Name a folder: --others FOLDER"
        )
    if what in ("evaluator", "identity"):
        for kind in ("safetensors", "json"):
            check_new(out / f"{what}.{kind}", overwrite)
    else:
        check_suffix(out, (".onnx",))
        check_new(out, overwrite, a_file=True)
    if what != "matte":  # which learns from pictures of another layout
        from aif.train.data.open import find_layout

        find_layout(data, table)  # before PyTorch, which takes seconds to load
    instruments[what](Training(data, table, out, faces, workers, others, pictures, start, not overwrite))


@dataclass(frozen=True)
class Training:
    """What the command line says."""

    data: Path
    table: Path | None
    out: Path
    faces: int | None
    workers: int | None
    others: Path | None
    pictures: Path | None
    start: Path | None
    new: bool

    def batches(self, size: int, seed: int) -> tuple[FaceDataset, FaceLoader, FaceDataset, Iterator[Batch]]:
        """Training faces and their loader, held-out faces and one pass over them, at `size` px."""
        from aif.train.data.augment import Augmentation
        from aif.train.data.batch import evaluation_batches
        from aif.train.data.cache import cached
        from aif.train.data.loader import FaceLoader

        train, held_out = self.splits(size)
        plain = Augmentation(flip=False)  # the networks' own jitter does the rest
        loader = FaceLoader(cached(train), size, 128, seed, augment=plain, workers=self.workers)
        return train, loader, held_out, evaluation_batches(held_out, size, 256)

    def splits(self, size: int = 64) -> tuple[FaceDataset, FaceDataset]:
        """Training and held-out faces."""
        from aif.train.data.open import open_faces

        train = open_faces(self.data, "train", None, table=self.table, image_size=size)
        return train, open_faces(self.data, "val", None, table=self.table, image_size=size)

    @property
    def checkpoints(self) -> Path:
        """The folder beside a network's file."""
        return self.out.with_suffix(".checkpoints")

    def export(self, write: Callable[[Path, Path], float]) -> None:
        """Put a network in its place: `write` gets the checkpoints and a new file."""
        with replacing(self.out, self.new) as part:
            error = write(self.checkpoints, part)
        typer.echo(f"{self.out}: largest difference from the network {error:.1e}")


def _evaluator(asked: Training) -> None:
    from aif.train.evaluators.evaluator import EvaluatorConfig, train_evaluator

    config = EvaluatorConfig() if asked.faces is None else EvaluatorConfig(faces=asked.faces)
    train, loader, _, held_out = asked.batches(config.image_size * 9 // 8, config.seed)
    made = train_evaluator(
        loader, held_out, train.attributes, asked.out, config, log=typer.echo, new=asked.new
    )
    for name, score in made.scores.items():
        typer.echo(f"{name}: {100 * score.accuracy:.1f}% of {score.n}")


def _identity(asked: Training) -> None:
    from aif.train.evaluators.identity import IdentityConfig, known_identities, train_identity

    config = IdentityConfig() if asked.faces is None else IdentityConfig(faces=asked.faces)
    train, loader, validation, held_out = asked.batches(config.image_size * 9 // 8, config.seed)
    people, others = known_identities(train), known_identities(validation)
    made = train_identity(loader, people, held_out, others, asked.out, config, log=typer.echo, new=asked.new)
    found = made.verification
    assert found is not None  # a training measures it
    typer.echo(f"verification: {100 * found.accuracy:.1f}% of {found.pairs} pairs, AUC {found.auc:.3f}")


def _landmarks(asked: Training) -> None:
    from aif.runtime.faces.landmarks import LandmarkNet
    from aif.train.data.cache import cached
    from aif.train.data.dense import read_dense
    from aif.train.landmarks.network import LandmarkConfig, export_landmarks
    from aif.train.landmarks.others import others_in_pictures
    from aif.train.landmarks.score import score_landmarks
    from aif.train.landmarks.training import train_landmarks

    config = LandmarkConfig() if asked.faces is None else LandmarkConfig(samples=asked.faces)
    train, validation = asked.splits()
    dense, held_out = read_dense(asked.data, train), read_dense(asked.data, validation)
    train_landmarks(
        cached(train), dense, asked.checkpoints, config,
        others=() if asked.others is None else others_in_pictures(asked.others),
        start=asked.start, workers=asked.workers or 0, log=typer.echo,
    )  # fmt: skip
    asked.export(export_landmarks)
    score = score_landmarks(LandmarkNet(asked.out.read_bytes(), threads=1), validation, held_out)
    typer.echo(
        f"error in eye distances: all points {100 * score.nme:.2f}%, frontal lips and eyes "
        f"{100 * score.frontal_exact:.2f}%, 95th percentile of faces {100 * score.nme_95:.2f}%; "
        f"faces kept {100 * score.recall:.1f}%, others rejected {100 * score.rejection:.1f}%, "
        f"hidden points told {100 * score.hidden:.1f}%"
    )


def _matte(asked: Training) -> None:
    from aif.train.data.hair import read_hair_pairs
    from aif.train.matte.network import MatteConfig, export_matte, load_matte, score_matte, train_matte

    config = MatteConfig() if asked.faces is None else MatteConfig(samples=asked.faces)
    train, held_out = (read_hair_pairs(asked.data, split, config.image_size) for split in ("train", "val"))
    train_matte(*train, asked.checkpoints, config, workers=asked.workers or 0, log=typer.echo)
    score = score_matte(load_matte(asked.checkpoints)[0], *held_out)
    asked.export(export_matte)
    typer.echo(f"IoU {score.iou:.3f} ({score.face_iou:.3f} a face) on {score.images} held-out faces")


def _detector(asked: Training) -> None:
    from aif.train.data.dense import read_dense
    from aif.train.detector.data import Sources
    from aif.train.detector.network import DetectorConfig, export_detector, train_detector
    from aif.train.detector.scenes import aligned_faces, pictures_with, pictures_without

    assert asked.others is not None
    config = DetectorConfig() if asked.faces is None else DetectorConfig(samples=asked.faces)
    train, _ = asked.splits()
    sources = Sources(
        aligned_faces(train, read_dense(asked.data, train), config.aligned, config.seed),
        [] if asked.pictures is None else pictures_with(asked.pictures),
        pictures_without(asked.others),
    )
    typer.echo(
        f"detector: {len(sources.aligned)} aligned faces, {len(sources.scenes)} pictures with faces, "
        f"{len(sources.others)} without"
    )
    train_detector(sources, asked.checkpoints, config, workers=asked.workers or 0, log=typer.echo)
    asked.export(export_detector)
