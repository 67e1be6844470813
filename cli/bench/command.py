"""`aif bench`: options in, tables or JSON out. The measuring is in aif.runtime.bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aif.cli.options import BundlePath, Overwrite, Yunet, check_new, first_given, split_names
from aif.runtime.errors import ConfigError, nearest_names

KINDS = ("image", "video", "live", "steadiness", "networks", "serve", "training")

# Parameters and the benchmarks that take them; --rounds all.
_TIMED = ("image", "video", "live", "serve")
_PHOTOS = (*_TIMED, "steadiness")
_TAKEN_BY = {
    **dict.fromkeys(("sources", "settings", "detector", "yunet"), _PHOTOS),
    **dict.fromkeys(("bundle", "json_file"), (*_PHOTOS, "networks")),
    **dict.fromkeys(("threads", "providers"), (*_TIMED, "networks")),
    **dict.fromkeys(("clients", "workers", "queue"), ("serve",)),
    **dict.fromkeys(("run", "batches", "compiled"), ("networks",)),
    **dict.fromkeys(("width", "batch_size"), ("training",)),
}


def bench(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="|".join(KINDS), help="What to measure.")],
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[SOURCE]...",
            help="image, serve: a photo; default: the demo portrait. video: a film. live: a camera number, a "
            "stream, a film or synthetic:1280x720@30, which is the default. steadiness: films.",
        ),
    ] = [],  # noqa: B006 - Typer reads the default, nobody changes it
    bundle: BundlePath = None,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="As of aif-edit. Default: the first attribute, on; off without a source of your own.",
        ),
    ] = [],  # noqa: B006 - Typer reads the default, nobody changes it
    threads: Annotated[
        str | None,
        typer.Option(metavar="N,N", help="Threads of the networks. Default: 1, 2, 4 ... one a core."),
    ] = None,
    providers: Annotated[
        str | None,
        typer.Option(
            metavar="cpu,cuda,...", help="Where they run, as of aif-edit. Default: wherever they can."
        ),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(metavar="auto|aif|yunet|haar", help="Face detector, as of aif-edit.")
    ] = None,
    yunet: Yunet = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="image, networks, training, serve: time of each measurement in each round (default 2; "
            "0.3; 4; 10). video, steadiness: how much of a film (default: all). live: length of a session "
            "(default 20; 600 for the long run).",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Turns of each rival; the median counts. Default 3; live: 1."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="networks: a training run, to compare with PyTorch on its weights; with --bundle the one "
            "that was exported from it.",
        ),
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="networks: with --run, torch.compile too (compiling takes minutes)."),
    ] = False,
    batches: Annotated[
        str | None, typer.Option(metavar="N,N", help="networks: faces a call. Default: 1,2,4,8,16,32.")
    ] = None,
    clients: Annotated[
        str | None, typer.Option(metavar="N,N", help="serve: clients at once. Default: 1,8,64.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="serve: as of aif serve. Default: one a core.")
    ] = None,
    queue: Annotated[int | None, typer.Option(metavar="N", help="serve: as of aif serve (16).")] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON; -: print them.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="training: channels of the first layer (64).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="training: faces a step (64).")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure speed; whatever is compared takes turns in one run, and is given as a ratio.

    \b
    image: an edit from a file's bytes to a file's bytes, stage by stage.
    video: a film from file to file, beside the two networks alone and the codecs alone.
    live: a camera, with its wait and without; delay, and whether delay or memory grow.
    steadiness: how much an edit shakes on films, with tracking and filter and without.
    networks: encoder and decoder by batch size and precision; with --run beside PyTorch on the same weights.
    serve: aif serve under load from clients on this machine, beside the bare editor.
    training: steps of the authors' networks, beside the same in plain PyTorch, on the processor.

    \b
    aif bench video film.mp4 --threads 1,2 --json film.json
    aif bench live --seconds 600

    docs/benchmarks.md says what each figure means.
    """
    if what not in KINDS:
        raise ConfigError(f"There is no benchmark {what!r}.", nearest_names(what, KINDS))
    for name, kinds in _TAKEN_BY.items():
        if what not in kinds and (option := first_given(context, [name])):
            called = repr(" ".join(sources)) if name == "sources" else option
            raise ConfigError(f"aif bench {what} takes no {called}.", f"That is for: {', '.join(kinds)}.")
    if len(sources) > 1 and what != "steadiness":
        raise ConfigError(f"aif bench {what} takes one source, not {len(sources)}.", "Name one at a time.")
    if what == "training":
        from aif.train.training.bench import bench_training

        wanted = {"width": width, "batch_size": batch_size, "rounds": rounds, "seconds": seconds}
        given: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        for row in bench_training(**given):
            typer.echo(f"{row.name:18} {row.faces_per_second:7.1f} faces/s   ratio {row.ratio:.2f}")
        return
    if json_file not in (None, "-"):
        check_new(Path(json_file), overwrite, "--json", a_file=True)
    from aif.cli import console
    from aif.cli.bench.report import present
    from aif.runtime.bench.run import BenchPlan, run_bench

    if run is not None:
        from aif.export.bench import load_run_networks
    plan = BenchPlan(
        what=what,
        sources=tuple(sources),
        bundle=bundle,
        settings=tuple(settings),
        threads=_numbers(threads, "--threads"),
        providers=None if providers is None else split_names(providers),
        detector=detector or "auto",  # type: ignore[arg-type]  # resolve_detector refuses others
        yunet=yunet,
        seconds=seconds,
        rounds=(1 if what == "live" else 3) if rounds is None else rounds,
        run=run,
        batches=_numbers(batches, "--batches"),
        compiled=compiled,
        clients=_numbers(clients, "--clients"),
        workers=workers,
        queue=queue,
        load_run=None if run is None else load_run_networks,
    )
    with console.progress_bar("Measuring") as progress:
        outcome = run_bench(plan, progress)
    present(outcome, json_file, new=not overwrite)


def _numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Whole numbers separated by commas; None stays None."""

    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.removeprefix("-").isdecimal() for part in parts):
        raise ConfigError(f"{option} {text} is no list of whole numbers.", f"Write {option} 1,2,4")
    return tuple(int(part) for part in parts)
