"""`aif calibrate`: find how strong a model's edits have to be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aif.cli.options import Table, check_there


def calibrate(
    run: Annotated[Path, typer.Argument(help="Folder of a run of preset linear or best.")],
    bundle: Annotated[Path, typer.Option(help="The bundle that was exported from it.")],
    data: Annotated[Path, typer.Option(help="The training faces.")],
    classifier: Annotated[
        Path, typer.Option(help="An evaluator's folder (aif fit evaluator); not the one that measures later.")
    ],
    table: Table = None,
    faces: Annotated[int, typer.Option(help="Faces for each attribute and direction.", min=1)] = 60,
) -> None:
    """Find the weakest values of y at which edits are seen, and keep them with the run; then export it again.

    It takes minutes; interrupted, it has changed nothing.

    Example: aif calibrate runs/quick --bundle quick.aif --data faces --classifier runs/verdict
    """
    check_there(run, "run", "Train one with aif-train.")
    check_there(bundle, "bundle", f"Export it: aif-export {run} -o {bundle}")
    check_there(classifier, "evaluator", "Train one with `aif fit evaluator`.")
    from aif.train.data.open import find_layout

    find_layout(data, table)
    from aif.runtime import Editor
    from aif.train.data.open import open_faces
    from aif.train.evaluators.evaluator import Evaluator
    from aif.train.shape.calibrate import calibrate_run

    evaluator = Evaluator.load(classifier)
    with Editor.load(bundle, provider="cpu", detector="haar") as editor:
        known = open_faces(data, "train", editor.attributes, table=table, image_size=editor.model.image_size)
        calibrate_run(run, editor.path, known, evaluator, faces=faces, log=typer.echo)
    typer.echo(f"Next: aif-export {run} -o {bundle} --overwrite")
