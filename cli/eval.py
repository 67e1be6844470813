"""`aif eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aif.cli.options import Debug, Verbose, Version


def evaluate(
    model: Annotated[Path, typer.Argument(help="Folder of a training run, or a bundle.")],
    data: Annotated[Path, typer.Option(help="Labelled faces with a train and a val split.")],
    evaluator: Annotated[Path, typer.Option(help="Folder of an evaluator (aif fit evaluator).")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for evaluation.md, .json and metrics.json.")
    ],
    table: Annotated[
        Path | None, typer.Option(help="The CSV of labels, where it is not beside the images.")
    ] = None,
    attributes: Annotated[
        str | None, typer.Option(help="Attributes to edit and probe, separated by commas; None: all.")
    ] = None,
    faces: Annotated[int | None, typer.Option(help="Validation faces to edit; None: all.")] = None,
    probe_faces: Annotated[int, typer.Option(help="Training faces that the probes are fitted on.")] = 10_000,
    features: Annotated[
        bool, typer.Option("--features", help="Also probe the features handed to the decoder.")
    ] = False,
    version: Version = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Measure a model: reconstruction, edits judged by an independent evaluator, leaks of y in z.

    Example: aif eval runs/smile --data faces128 --evaluator runs/evaluator -o runs/smile-eval
    """
    from aif.runtime.bundle import Bundle
    from aif.runtime.model import FaceModel
    from aif.train.data.open import open_faces
    from aif.train.evaluate import evaluate as measure_all
    from aif.train.evaluate import write_evaluation
    from aif.train.evaluator import Evaluator
    from aif.train.measure import EditingModel, TorchModel
    from aif.train.run import load_run

    judge = Evaluator.load(evaluator)
    measured: EditingModel
    if (model / "config.json").exists():
        run = load_run(model)
        size = run.config.network.image_size
        measured = TorchModel(run.encoder, run.decoder, run.config.data.attributes, size)
    else:
        measured = FaceModel(Bundle.open(model))
    size, names = measured.image_size, list(measured.attributes)
    train = open_faces(data, "train", names, table=table, image_size=size)
    validation = open_faces(data, "val", names, table=table, image_size=size)
    result = measure_all(
        measured,
        train,
        validation,
        judge,
        attributes=None if attributes is None else [name.strip() for name in attributes.split(",")],
        edit_faces=faces,
        probe_faces=probe_faces,
        features=features,
    )
    write_evaluation(result, out)
    typer.echo(result.to_markdown())
