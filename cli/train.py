"""`aif train` (aif-train)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aif.cli.options import Table, Workers, first_given, split_names
from aif.runtime.errors import ConfigError

if TYPE_CHECKING:
    from aif.train.training.loop import Progress


# What trainings of textures and landmarks (presets linear, best) have no use for: they are prepared once.
_WHOLE_ONLY = ("devices", "nodes", "workers", "cache")


def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run; a run there is resumed.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Packed faces, CelebA's official layout, or images with a CSV. None: synthetic."),
    ] = None,
    attributes: Annotated[str, typer.Option(help="Attributes to learn, separated by commas.")] = "Smiling",
    preset: Annotated[
        str, typer.Option(help="best, linear, whole, residual, authors, paper, or another (docs/presets.md).")
    ] = "best",
    steps: Annotated[int | None, typer.Option(help="Training steps in all.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Faces a step, over all processes.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Step size of all networks.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Face crop in pixels: 64, 128 or 256.")] = None,
    width: Annotated[int | None, typer.Option(help="Channels of the first layer.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", "-c", help="Any other setting, such as objective.aux_weight=0. Repeatable."),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PART",
            help="Where an attribute's edits act (presets best, linear): brows, eyes, nose, cheeks, mouth, "
            "jaw, moustache, beard; several: cheeks+nose; mouth+colour: tint and move nothing. Default: by "
            "its name, else everywhere. Repeatable.",
        ),
    ] = None,
    table: Table = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(help="Devices of this machine to use.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines, each started with torchrun.")] = 1,
    workers: Workers = None,
    cache: Annotated[bool, typer.Option(help="Keep decoded faces in a temporary file.")] = True,
    log_every: Annotated[int, typer.Option(help="Steps between log lines.")] = 50,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 500,
    sample_every: Annotated[int, typer.Option(help="Steps between sample grids; 0 for none.")] = 1000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved settings and stop.")] = False,
) -> None:
    """Train a model, or go on with one that was interrupted: run the same command again.

    Ctrl-C stops after the step in hand and writes a checkpoint. What comes before the first step (landmarks,
    textures, regressions: minutes) is done anew. The folder holds config.json, checkpoints, metrics.jsonl,
    TensorBoard logs and sample pictures, the first after a minute.

    \b
    aif-train --data faces --attributes Smiling --preset linear --out runs/quick   (minutes)
    aif-train --data faces --attributes Smiling --out runs/smile                   (hours; it says how many)
    """
    from aif.cli.console import say
    from aif.train.config import override
    from aif.train.presets import SHAPE_PRESETS, get_preset

    names = split_names(attributes)
    wanted = {
        "steps": steps,
        "seed": seed,
        "precision": precision,
        "network.image_size": image_size,
        "network.width": width,
        "optimiser.batch_size": batch_size,
        "optimiser.learning_rate": learning_rate,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    if preset in SHAPE_PRESETS:
        if option := first_given(context, _WHOLE_ONLY):
            raise ConfigError(
                f"{option} does nothing for preset {preset}.",
                "Leave it out, or choose a preset of whole crops.",
            )
        if not dry_run:
            from aif.train.data.open import find_layout

            find_layout(data, table)  # before PyTorch, which takes seconds to load
        from aif.train.shape.command import train_shape_command

        train_shape_command(
            preset,
            out,
            data,
            table,
            names,
            regions=region or (),
            given={name.rpartition(".")[2]: value for name, value in given.items()},
            assignments=config or (),
            accelerator=accelerator,
            checkpoint_every=checkpoint_every,
            log_every=log_every,
            sample_every=sample_every,
            dry_run=dry_run,
            log=say,
        )
        return
    if region:
        raise ConfigError(
            f"--region does nothing for preset {preset}.", "Leave it out, or choose best or linear."
        )
    assignments = [f"{name}={value}" for name, value in given.items()]
    path = None if data is None or str(data) == "synthetic" else str(data.resolve())
    start = get_preset(preset)
    start = dataclasses.replace(start, data=dataclasses.replace(start.data, path=path, attributes=names))
    settings = override(start, [*assignments, *(config or [])])
    if dry_run:
        from aif.train.config import to_dict

        typer.echo(json.dumps(to_dict(settings), indent=2))
        return
    from aif.train.data.open import open_faces

    size = settings.network.image_size
    place = None if settings.data.path is None else Path(settings.data.path)
    names, crop = settings.data.attributes, settings.data.crop
    faces = open_faces(place, "train", names, table=table, crop=crop, image_size=size)
    validation = open_faces(place, "val", names, table=table, crop=crop, image_size=size)

    from aif.train.training import loop  # takes seconds to load: mistakes about data come first

    options = loop.LoopOptions(
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        workers=workers,
        cache=cache,
        log_every=log_every,
        checkpoint_every=checkpoint_every,
        sample_every=sample_every,
    )
    with training_bar() as show:
        result = loop.train(settings, out, faces, validation, options, lambda now: show("training", now), say)
    if result.main_process and result.finished:
        typer.echo(f"Trained {result.step} steps into {out}. Next: aif-export {out} -o {out.name}.aif")
    elif result.main_process:
        typer.echo(f"Stopped at step {result.step} of {settings.steps}; the same command goes on from there.")
    if result.stopped is not None:
        raise result.stopped


@contextlib.contextmanager
def training_bar() -> Iterator[Callable[[str, Progress], None]]:
    """How far a training is: a bar on a terminal, elsewhere a line now and then.

    What it gives is called with a name and the progress of the training of that name.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    from aif.cli.console import LINE_EVERY, error_console
    from aif.train.progress import lasting

    console, printed = error_console(), -LINE_EVERY
    name, pace, terms = (
        TextColumn(f"{{task.{x}}}") for x in ("description", "fields[pace]", "fields[terms]")
    )
    columns = (name, BarColumn(bar_width=10), MofNCompleteColumn(), pace, *[terms] * (console.width >= 110))
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("first step", total=None, pace="", terms="")

        def show(name: str, now: Progress) -> None:
            nonlocal printed
            known = [term for term in ("rec", "class", "aux") if term in now.terms]
            terms = " ".join(f"{term} {now.terms[term]:.3f}" for term in known)
            pace = f"{now.faces_per_second:.1f} faces/s, about {lasting(now.seconds_left)} left"
            time_now = time.monotonic()
            bar.update(task, description=name, total=now.steps, completed=now.step, pace=pace, terms=terms)
            due = time_now - printed >= LINE_EVERY or now.step == now.steps
            if due and not console.is_terminal:
                printed = time_now
                line = f"{name}: step {now.step} of {now.steps}, {pace}, {terms}"
                console.print(line, markup=False, soft_wrap=True)

        yield show
