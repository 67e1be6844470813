"""`aif export-serving`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aif.cli.options import Overwrite, check_new, check_there, split_names
from aif.runtime.errors import ConfigError


def export_serving(
    server: Annotated[str, typer.Argument(metavar="triton", help="The server to export for.")],
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="[BUNDLE]", help="What to serve. Default: the bundle that came with aif."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="The model repository to write.")
    ] = Path("model_repository"),
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What the models' names begin with. Default: the bundle's name."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="fp32,fp16,int8", help="Which precisions to serve. Default: all in the bundle."),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="cpu|gpu", help="Where the ONNX graphs run; engines always run on a GPU.")
    ] = "cpu",
    instances: Annotated[
        int,
        typer.Option(metavar="N", help="Instances of each network: on each GPU, or on the processor in all."),
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads of an instance on the processor. Default: one a core."),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(metavar="N", help="Join requests to batches of up to so many faces; 1: never.")
    ] = 16,
    engines: Annotated[
        bool, typer.Option(help="Serve the bundle's TensorRT engines, too, those that can be served.")
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Write a model repository for NVIDIA Triton: encoder, decoder and an ensemble of them.

    \b
    aif export-serving triton smile.aif -o model_repository
    aif export-serving triton smile.aif -o model_repository --device gpu --instances 2 --max-batch 32
    tritonserver --model-repository model_repository

    docs/triton.md tells what the models take and give.
    """
    if server != "triton":
        raise ConfigError(
            f"There is no export for the server {server!r}.",
            "Known: triton. (aif export-serving triton BUNDLE -o model_repository)",
        )
    check_there(bundle, "bundle", "Make one with aif-export.")
    check_new(out, overwrite)
    from aif.export.triton.repository import TritonOptions, export_triton
    from aif.runtime.bundle.bundle import Bundle

    options = TritonOptions(
        instances=instances,
        device=device,  # type: ignore[arg-type]
        max_batch=max_batch,
        precisions=split_names(precision or ""),
        engines=engines,
        threads=threads,
        name=name,
    )
    report = export_triton(Bundle.open(bundle), out, options, new=not overwrite)
    typer.echo(f"{report.path}: {len(report.models)} models, {report.bytes / 1e6:.1f} MB")
    typer.echo(
        f"ensembles: {', '.join(report.ensembles)}; on the {'GPU' if device == 'gpu' else 'processor'}"
    )
    typer.echo(f"Next: tritonserver --model-repository {out}")
