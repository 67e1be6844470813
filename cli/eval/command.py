"""`aif eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aif.cli.options import Overwrite, Table, split_names
from aif.runtime.errors import ConfigError

EXHIBITS = (
    *("table1", "table2", "table3", "figure2", "figure3", "figure4", "figure5", "figure6", "figure7"),
    *("leakage", "composed", "quality", "truth", "all"),
)
"""What `aif eval` makes beside measuring a model; the same names as in `aif.train.paper.exhibits`."""


def evaluate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RUN|BUNDLE|" + "|".join(EXHIBITS), help="What to measure, or what to reproduce."
        ),
    ],
    evaluator: Annotated[
        Path | None,
        typer.Option(help="Folder of an evaluator (aif fit evaluator); only --realism does without."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for what is found. None, of a model: print it.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Labelled faces with a train and a val split. None: synthetic.")
    ] = None,
    table: Table = None,
    attributes: Annotated[
        str | None,
        typer.Option(help="Attributes, separated by commas. A model: None = all. Tables: None = Smiling."),
    ] = None,
    groups: Annotated[
        str | None, typer.Option(help="Model only: attributes by whose labels success is also counted apart.")
    ] = None,
    faces: Annotated[int | None, typer.Option(help="Validation faces to edit; None: all.")] = None,
    probe_faces: Annotated[int, typer.Option(help="Training faces that the probes are fitted on.")] = 10_000,
    protocol: Annotated[
        str,
        typer.Option(
            help="Model only. full; composed: edits as the user sees them, which is full for bundles with "
            "landmarks; robustness: the same on blurred, noisy, dark, turned ... faces; paper: the first 100 "
            "test faces, positives, y 0 and 1."
        ),
    ] = "full",
    realism: Annotated[
        list[str] | None,
        typer.Option(
            help="Bundle only: can a new network find the edits of this attribute? Repeatable; needs people."
        ),
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(help="Identity network (aif fit identity): how much of person and detail edits leave."),
    ] = None,
    portraits: Annotated[
        list[str] | None,
        typer.Option(help="Tables only: photos for the pictures, or demo; None: held-out faces. Repeatable."),
    ] = None,
    faces_seen: Annotated[
        int | None, typer.Option(help="Tables only: training of each system; None: the preset's.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Tables only: channels of the first layer.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Tables only: face crop in pixels.")] = None,
    precision: Annotated[str | None, typer.Option(help="Tables only: arithmetic of the training.")] = None,
    seeds: Annotated[
        str,
        typer.Option(
            help="Tables only: seeds, separated by commas; all but the first only with and without L_aux."
        ),
    ] = "0",
    picture_faces: Annotated[
        int, typer.Option(help="Tables only: faces for likeness and Frechet distance.")
    ] = 1_000,
    accelerator: Annotated[str, typer.Option(help="Tables only: auto, cpu, cuda or mps.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(help="Tables only: processes that decode images. None: one a core.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure a model, or reproduce a table or figure of the paper.

    A run, or a bundle of whole crops: reconstruction, edits as an independent evaluator sees them, leaks of y
    in z.
    A bundle with landmarks: success, other attributes flipped, fine detail and person kept, all as composed.
    A table or figure (or all): trains every system that it shows with one budget, measures it, and writes a
    report as Markdown and JSON. What is done already is not done again.

    Examples: aif eval runs/smile --data faces128 --evaluator runs/evaluator -o runs/smile-eval;
    aif eval model.aif --data faces128 --realism Smiling;
    aif eval table1 --data faces128 --evaluator runs/evaluator --faces-seen 100000 --width 32 -o results
    """
    from aif.cli.eval.measure import Request, measure_model, measure_realism

    names = None if attributes is None else split_names(attributes)
    groupings = split_names(groups or "")
    asked = Request(
        Path(target), evaluator, identity, data, table, out, names, groupings, faces, probe_faces,
        protocol, overwrite,
    )  # fmt: skip
    if realism:
        measure_realism(asked, realism)
        if evaluator is None:
            return
    if evaluator is None:
        raise ConfigError(
            "Edits are counted by an evaluator.", "Give one: --evaluator FOLDER (made by aif fit evaluator)."
        )
    if target not in EXHIBITS:
        measure_model(asked, EXHIBITS)
        return
    if out is None:
        raise ConfigError("A report needs a folder.", "Give one: --out FOLDER.")
    from aif.cli.eval.study import reproduce
    from aif.train.paper.budget import make_budget
    from aif.train.paper.measures import Effort
    from aif.train.training.loop import LoopOptions

    reproduce(
        target,
        asked,
        portraits or [],
        make_budget(faces_seen, width, image_size, precision, seeds),
        Effort(faces, picture_faces, probe_faces),
        LoopOptions(accelerator=accelerator, workers=workers),
    )
