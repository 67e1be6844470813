"""`aif export` (aif-export)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aif.cli.options import Debug, Verbose, Version

if TYPE_CHECKING:
    from aif.runtime.bundle.manifest import Variant


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|BUNDLE",
            help="Folder of a training run (aif-train --out), or a bundle to add precisions or engines to.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle: a file name for a zip, or a folder.")],
    name: Annotated[str | None, typer.Option(help="Model name; None: the run folder's.")] = None,
    model_version: Annotated[str | None, typer.Option(help="Model version. Default: 1.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Faces for all checks and for calibrating INT8; with --precision any folder of aligned "
            "crops will do. None: those of the training."
        ),
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="The CSV of labels, where it is not beside the images.")
    ] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="Landmark network (ONNX) to ship; None: the embedded bundle's.")
    ] = None,
    matte: Annotated[
        Path | None, typer.Option(help="Network that finds the hair (ONNX); None: the embedded bundle's.")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="Model card (Markdown) to ship.")] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="JSON of measured figures (name: number) for the manifest.")
    ] = None,
    compositing: Annotated[
        str | None,
        typer.Option(
            metavar="warp|delta|replace",
            help="How to compose: warp for models with shape (nothing else), delta (default) or replace "
            "for others.",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="fp32,fp16,int8", help="Precisions, each behind a gate on faces; fp32 is always there."
        ),
    ] = "fp32",
    evaluator: Annotated[
        Path | None,
        typer.Option(help="Folder of an evaluator (aif fit evaluator): its verdicts join the gate."),
    ] = None,
    trt: Annotated[
        bool, typer.Option("--trt", help="Build TensorRT engines of the precisions, for this machine.")
    ] = False,
    batch: Annotated[
        str | None,
        typer.Option(metavar="MIN,OPT,MAX", help="Faces at once that engines take, one number: fixed."),
    ] = None,
    workspace: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Most scratch memory of a layer: 512M, 2G.")
    ] = None,
    timing_cache: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Timing cache. Default: in the user's cache folder.")
    ] = None,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="Engines that later versions of TensorRT take.")
    ] = False,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="Engines for every card from Ampere on.")
    ] = False,
    version: Version = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Turn a training run into a bundle: two ONNX graphs, checked against the network on real faces.

    \b
    aif-export runs/smile -o smile.aif
    aif-export runs/smile -o smile.aif --precision fp32,fp16,int8 --data faces --evaluator runs/evaluator
    aif-export smile.aif -o smaller.aif --precision int8 --data crops/

    aif-export smile.aif -o smile.aif --trt --precision fp16 --data crops/

    docs/precision.md says what each precision gives away, docs/tensorrt.md where engines fit.
    """
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    from aif.cli.export.engines import build, engine_plan
    from aif.export.graphs.crops import open_crops
    from aif.export.precision.choice import check_mode, check_real, parse_precisions
    from aif.runtime.bundle.bundle import Bundle, check_place
    from aif.runtime.errors import ConfigError

    wanted = parse_precisions(precision)
    options_of_engines = (batch, workspace, timing_cache, version_compatible, hardware_compatible)
    engines = engine_plan(trt, precision, *options_of_engines)
    check_place(out)
    check_mode(compositing)
    if evaluator is not None and not wanted:
        raise ConfigError("--evaluator is for precisions beside fp32.", "Add --precision fp32,int8")
    if run.is_file() or (run / "manifest.json").is_file():
        run_only = {
            "--name": name,
            "--model-version": model_version,
            "--landmarks": landmarks,
            "--matte": matte,
            "--card": card,
            "--metrics": metrics,
            "--compositing": compositing,
        }
        given = [option for option, value in run_only.items() if value is not None]
        if given or not (wanted or engines):
            raise ConfigError(
                f"{run} is a bundle, {f'{given[0]} is for runs' if given else 'and nothing is to be added'}.",
                "To a bundle aif-export adds precisions (--precision fp16,int8) and engines (--trt).",
            )
        manifest = Bundle.open(run).manifest
        faces = open_crops(data, manifest.attribute_names, table, manifest.image_size)
        if data is None:
            check_real(faces, manifest.provenance.dataset)
        if engines is not None:  # what is there already stays
            wanted = tuple(name for name in wanted if name not in manifest.graphs)
        with ExitStack() as stack:
            source = run
            if wanted:
                from aif.export.precision.precision import extend_bundle

                source = (
                    out if engines is None else Path(stack.enter_context(TemporaryDirectory())) / "bundle"
                )
                _tell(extend_bundle(run, source, wanted, faces, evaluator).manifest.variants, wanted)
            if engines is not None:
                build(source, out, faces, engines)
        chosen = f"--precision {wanted[-1]}" if engines is None else engines.choice
        typer.echo(f"Next: aif-edit photo.jpg --bundle {out} {chosen}")
        return
    from aif.export.bundle import ExportOptions, export_bundle, read_metrics
    from aif.export.graphs.exportable import open_exportable

    model = open_exportable(run)
    check_mode(compositing, model.frame is not None)
    place = data if data is not None else model.data_path
    faces = open_crops(place, model.attribute_names, table, model.image_size)
    if place is None and (wanted or engines or model.frame is not None):
        check_real(faces, model.provenance.dataset)
    options = ExportOptions(
        name=name,
        version=model_version or "1",
        landmarks=landmarks,
        matte=matte,
        card=card,
        metrics=None if metrics is None else read_metrics(metrics),
        compositing=compositing,  # type: ignore[arg-type]
        precisions=wanted,
        evaluator=evaluator,
    )
    with ExitStack() as stack:
        source = out if engines is None else Path(stack.enter_context(TemporaryDirectory())) / "bundle"
        report = export_bundle(run, source, faces, options)
        if engines is not None:
            build(source, out, faces, engines)
    typer.echo(f"{out}: step {report.step}, {report.bytes / 1e6:.1f} MB")
    for parity in report.parity:
        typer.echo(f"largest difference from the network at batch {parity.batch}: {parity.worst:.1e}")
    _tell(report.variants, wanted)
    chosen = "" if engines is None else f" {engines.choice}"
    typer.echo(f"Next: aif-edit photo.jpg --bundle {out} --set {model.attribute_names[0]}=1{chosen}")


def _tell(variants: Mapping[str, Variant], wanted: tuple[str, ...]) -> None:
    """A line a precision: what it gives away, how fast it is, what to beware of."""
    for precision in wanted:
        made = variants[precision]
        figures = ", ".join(f"{name} {value:.2g}" for name, value in made.gate.items())
        layers = f"; in float: {', '.join(made.float_layers)}" if made.float_layers else ""
        typer.echo(f"{precision} against fp32 on {made.gated_on.faces} faces: {figures}{layers}")
        typer.echo(f"{precision}: {made.speedup:g} times the speed of fp32 here, one face, one thread")
        for warning in made.warnings:
            typer.secho(f"{precision}: {warning}", fg="yellow", err=True)
