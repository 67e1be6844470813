"""`aif bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from aif.cli.options import Debug, Verbose, Version


def bench(
    what: Annotated[str, typer.Argument(help="training.")],
    width: Annotated[int, typer.Option(help="Channels of the first layer.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Faces a step.")] = 64,
    rounds: Annotated[int, typer.Option(help="Turns of each rival; the median counts.")] = 3,
    version: Version = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Measure speed, always as a ratio to a named rival in the same run.

    training: steps of the authors' networks, against the same in plain PyTorch, on the CPU.
    """
    from aif.runtime.errors import ConfigError, nearest_names

    if what != "training":
        raise ConfigError(f"There is no benchmark {what!r}.", nearest_names(what, ["training"]))
    from aif.train.bench import bench_training

    for row in bench_training(width, batch_size, rounds):
        typer.echo(f"{row.name:18} {row.faces_per_second:7.1f} faces/s   ratio {row.ratio:.2f}")
