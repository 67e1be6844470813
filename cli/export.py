"""`aif export` (aif-export)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aif.cli.options import Debug, Verbose, Version


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run (aif-train --out).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle: a file name for a zip, or a folder.")],
    name: Annotated[str | None, typer.Option(help="Model name; None: the run folder's.")] = None,
    model_version: Annotated[str, typer.Option(help="Model version.")] = "1",
    data: Annotated[
        Path | None, typer.Option(help="Faces for the parity check; None: those of the training.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="The CSV of labels, where it is not beside the images.")
    ] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="Landmark network (ONNX) to ship; None: the embedded bundle's.")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="Model card (Markdown) to ship.")] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="JSON of measured figures (name: number) for the manifest.")
    ] = None,
    compositing: Annotated[str, typer.Option(help="Default mode: delta, replace or hybrid.")] = "hybrid",
    version: Version = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Turn a training run into a bundle: two ONNX graphs, checked against the network on real faces.

    Example: aif-export runs/smile -o smile.aif
    """
    from aif.export.bundle import ExportOptions, export_bundle, read_metrics
    from aif.runtime.errors import ConfigError
    from aif.train.data.open import open_faces
    from aif.train.run import load_run

    if compositing not in ("delta", "replace", "hybrid"):
        raise ConfigError(
            f"There is no compositing mode {compositing!r}.", "Choose delta, replace or hybrid."
        )
    trained = load_run(run).config
    place = data if data is not None else (Path(trained.data.path) if trained.data.path else None)
    faces = open_faces(
        place, "val", trained.data.attributes, table=table, image_size=trained.network.image_size
    )
    options = ExportOptions(
        name=name,
        version=model_version,
        landmarks=landmarks,
        card=card,
        metrics=None if metrics is None else read_metrics(metrics),
        compositing=compositing,  # type: ignore[arg-type]
    )
    report = export_bundle(run, out, faces, options)
    typer.echo(f"{report.path}: step {report.step}, {report.bytes / 1e6:.1f} MB")
    for parity in report.parity:
        typer.echo(f"largest difference from the network at batch {parity.batch}: {parity.worst:.1e}")
    typer.echo(f"Next: aif-edit photo.jpg --bundle {out} --set {trained.data.attributes[0]}=1")
