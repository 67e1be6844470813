"""`aif prepare`: photos and their labels in, packed faces for training out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aif.cli.options import Detector, Yunet, split_names


def prepare(
    photos: Annotated[
        Path, typer.Argument(metavar="PHOTOS", help="Folder of photos, or CelebA in its official layout.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to make, for aif-train --data.")
    ],
    table: Annotated[
        Path | None,
        typer.Option(
            "--table",
            metavar="CSV",
            help="Labels: a column with the file names, and columns of 0/1 or -1/1. Default: the one CSV in "
            "PHOTOS, or CelebA's lists.",
        ),
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Label columns to keep, in this order. Default: all."),
    ] = None,
    size: Annotated[int, typer.Option(metavar="PX", help="Side of the face crops.")] = 128,
    min_face: Annotated[float, typer.Option(metavar="PX", help="Leave out smaller faces.")] = 32.0,
    shard_faces: Annotated[
        int, typer.Option(metavar="N", help="About how many faces a zip file holds.")
    ] = 12_000,
    quality: Annotated[int, typer.Option(metavar="1-100", help="Of the WebP images.")] = 92,
    detector: Detector = "auto",
    yunet: Yunet = None,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Bundle whose networks find the faces. Default: aif's own."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace packed faces at --out.")] = False,
) -> None:
    """Find, align and pack the faces of photos, exactly as editing will align them.

    \b
    aif prepare photos/ --table labels.csv -o faces/
    aif prepare celeba/ --attributes Smiling,Eyeglasses -o faces/

    A labelled photo gives its largest face, an unlabelled one every face.
    """
    from aif.cli.console import progress_bar
    from aif.runtime.bundle.bundle import Bundle
    from aif.runtime.faces.detect import make_detector
    from aif.train.data.prepare import PrepareOptions
    from aif.train.data.prepare import prepare as pack
    from aif.train.shape.faces.known import region_hint

    finder = make_detector("yunet" if yunet else detector, Bundle.open(bundle), yunet)  # type: ignore[arg-type]
    columns = None if attributes is None else split_names(attributes)
    with progress_bar("Preparing") as progress:
        report = pack(
            photos,
            table,
            out,
            finder,
            PrepareOptions(columns, size, min_face, shard_faces, quality, overwrite),
            progress=progress,
        )
    typer.echo(
        f"{report.photos} photos: " + ", ".join(f"{n} {split} faces" for split, n in report.faces.items())
    )
    for what, names in report.left_out.items():
        if names:
            typer.echo(f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}")
    if report.attributes:
        words = f"aif-train --data {out} --attributes {report.attributes[0]}"
        typer.echo(f"Next, for a first look within minutes: {words} --preset linear --out runs/quick")
        if hint := region_hint(report.attributes[:1]):
            typer.echo(hint)
    else:
        typer.echo(
            "The faces have no labels, which training needs: give a CSV with --table. As they are they "
            f"serve for checks: aif-export BUNDLE -o OUT --precision int8 --data {out}"
        )
