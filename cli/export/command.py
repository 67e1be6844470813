"""`aif export` (aif-export)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aif.cli.options import Overwrite, Table, check_new, check_suffix, check_there, first_given, split_names
from aif.runtime.errors import ConfigError

if TYPE_CHECKING:
    from aif.export.request import EnginePlan, ExportRequest, Outcome
    from aif.runtime.tensorrt.sidecar import BatchProfile


# Parameters by where they make sense.
_ENGINES_ONLY = ("batch", "workspace", "timing_cache", "version_compatible", "hardware_compatible")
_RUNS_ONLY = (
    "without",
    "name",
    "model_version",
    "landmarks",
    "matte",
    "detector",
    "card",
    "metrics",
    "compositing",
)


def export(
    context: typer.Context,
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|BUNDLE",
            help="Folder of a training run (aif-train --out), or a bundle to add precisions or engines to.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle: a file name for a zip, or a folder.")],
    without: Annotated[
        str, typer.Option(metavar="NAME,NAME", help="Attributes to leave out: those that do not convince.")
    ] = "",
    name: Annotated[str | None, typer.Option(help="Model name; None: the run folder's.")] = None,
    model_version: Annotated[str | None, typer.Option(help="Model version. Default: 1.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Faces for all checks and for calibrating INT8; with --precision any folder of aligned "
            "crops will do. None: those of the training."
        ),
    ] = None,
    table: Table = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="Landmark network (ONNX) to ship; None: the embedded bundle's.")
    ] = None,
    matte: Annotated[
        Path | None, typer.Option(help="Network that finds the hair (ONNX); None: the embedded bundle's.")
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="Network that finds faces (ONNX); None: the embedded bundle's.")
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
    overwrite: Overwrite = False,
) -> None:
    """Turn a training run into a bundle: two ONNX graphs, checked against the network on real faces.

    \b
    aif-export runs/smile -o smile.aif
    aif-export runs/smile -o smile.aif --precision fp32,fp16,int8 --data faces
    aif-export smile.aif -o smaller.aif --precision int8 --data crops/

    aif-export smile.aif -o smile.aif --trt --precision fp16 --data crops/

    docs/precision.md says what each precision gives away, docs/tensorrt.md where engines fit.
    """
    from aif.cli.console import notice
    from aif.export.request import ExportRequest, export_run, extend, parse_precisions

    wanted = parse_precisions(precision)
    if not trt and (option := first_given(context, _ENGINES_ONLY)):
        raise ConfigError(f"{option} is for engines.", "Add --trt, or leave it out.")
    engines = None
    if trt:
        compatible = version_compatible, hardware_compatible
        engines = _engine_plan(precision, batch, workspace, timing_cache, *compatible)
    request = ExportRequest(run, out, wanted, data, table, engines)
    overwrite |= request.of_bundle and out.resolve() == run.resolve()  # adds to itself
    if out.suffix and not out.is_dir():
        check_suffix(out, (".aif", ".zip"))
    check_there(run, "run or bundle", "Train one: aif-train --out DIR")
    check_new(out, overwrite)
    request = replace(request, new=not overwrite)
    if request.of_bundle:
        if option := first_given(context, _RUNS_ONLY):
            raise ConfigError(
                f"{run} is a bundle, {option} is for runs.",
                "To a bundle aif-export adds precisions (--precision fp16,int8) and engines (--trt).",
            )
        outcome = extend(request, notice)
    else:
        from aif.export.bundle import ExportOptions, read_metrics

        options = ExportOptions(
            without=split_names(without),
            name=name,
            version=model_version or "1",
            landmarks=landmarks,
            matte=matte,
            detector=detector,
            card=card,
            metrics=None if metrics is None else read_metrics(metrics),
            compositing=compositing,  # type: ignore[arg-type]
        )
        outcome = export_run(request, options, notice)
    _show(request, outcome)


def _show(request: ExportRequest, outcome: Outcome) -> None:
    """What was made, a line each: what every precision gives away, how fast it is, what to beware of."""
    report = outcome.report
    if report is not None:
        typer.echo(f"{request.out}: step {report.step}, {report.bytes / 1e6:.1f} MB")
        for parity in report.parity:
            typer.echo(f"largest difference from the network at batch {parity.batch}: {parity.worst:.1e}")
    for precision, made in outcome.variants.items():
        layers = f"; in float: {', '.join(made.float_layers)}" if made.float_layers else ""
        faces = made.gated_on.faces
        typer.echo(f"{precision} against fp32 on {faces} faces: {_figures(made.gate)}{layers}")
        typer.echo(f"{precision}: {made.speedup:g} times the speed of fp32 here, one face, one thread")
        for warning in made.warnings:
            typer.secho(f"{precision}: {warning}", fg="yellow", err=True)
    for sidecar in outcome.engines:
        profile = sidecar.profile
        typer.echo(
            f"engines/{sidecar.file}: {sidecar.bytes / 1e6:.1f} MB, {profile.min} to {profile.max} faces "
            f"(tuned for {profile.opt}), {sidecar.gpu}"
        )
        if sidecar.part == "decoder":
            faces = sidecar.gated_faces
            figures = _figures(sidecar.gate)
            typer.echo(f"{sidecar.precision} engines against fp32 on {faces} faces: {figures}")
    words = ["aif-edit", "photo.jpg", "--bundle", str(request.out)]
    if report is not None:
        words += ["--set", f"{outcome.attributes[0]}=1"]
    if request.engines is not None:
        words += ["--provider", "tensorrt", "--precision", request.engines.precisions[-1]]
    elif report is None:
        words += ["--precision", request.precisions[-1]]
    typer.echo(f"Next: {' '.join(words)}")


def _figures(gate: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2g}" for name, value in gate.items())


def _engine_plan(
    precision: str,
    batch: str | None,
    workspace: str | None,
    timing_cache: Path | None,
    version_compatible: bool,
    hardware_compatible: bool,
) -> EnginePlan:
    """The plan for the command line's options; TensorRT and its timing cache are looked for already here."""
    from aif.export.request import EnginePlan
    from aif.runtime.tensorrt.build import DEFAULT_PROFILE, BuildOptions, check_timing_cache
    from aif.runtime.tensorrt.library import load_library
    from aif.runtime.tensorrt.store import check_buildable

    names = tuple(dict.fromkeys(split_names(precision.lower())))
    check_buildable(names)
    options = BuildOptions(
        profile=DEFAULT_PROFILE if batch is None else _parse_batch(batch),
        workspace=None if workspace is None else _parse_size(workspace),
        timing_cache=timing_cache,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
    )
    check_timing_cache(options, load_library())  # before minutes are spent on anything else
    return EnginePlan(names, options)


def _parse_batch(text: str) -> BatchProfile:
    """A profile from "1,2,16"; one number alone is a fixed batch."""
    from aif.runtime.tensorrt.sidecar import BatchProfile

    try:
        numbers = [int(part) for part in text.split(",")]
        low, middle, high = numbers * 3 if len(numbers) == 1 else numbers
        return BatchProfile(min=low, opt=middle, max=high)
    except ValueError as error:  # pydantic's is one, too
        raise ConfigError(
            f"--batch {text!r} is not understood.",
            "Write three rising numbers of faces from 1 to 1024, such as 1,2,16, or one for a fixed batch.",
        ) from error


def _parse_size(text: str) -> int:
    """Bytes from "512M" or "2G" (MiB, GiB), or a plain number of MiB."""

    units = {"M": 1 << 20, "G": 1 << 30}
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].upper() in units else (text, "M")
    if not number.isdecimal() or int(number) == 0:
        raise ConfigError(f"--workspace {text!r} is not understood.", "Write 512M or 2G.")
    return int(number) * units[unit]
