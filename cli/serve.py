"""`aif serve`: options in, a service until it is told to end."""

from __future__ import annotations

from typing import Annotated

import typer

from aif.cli import options


def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 for every network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0: any free one.", min=0, max=65535)] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also answer to this name (a proxy's), beside this machine's own."),
    ] = None,
    ui: Annotated[bool, typer.Option("--ui", help="Also a page to look at, at /ui.")] = False,
    bundle: options.BundlePath = None,
    provider: options.Provider = "auto",
    precision: options.Precision = None,
    detector: options.Detector = "auto",
    yunet: options.Yunet = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Photos edited at once. Default: one a core.", min=1)
    ] = None,
    threads: Annotated[int, typer.Option(metavar="N", help="Threads of the networks for one photo.")] = 1,
    queue: Annotated[
        int, typer.Option(metavar="N", help="Requests that may wait; more get 503.", min=0)
    ] = 16,
    max_megapixels: Annotated[
        float, typer.Option(metavar="N", help="Refuse larger pictures.", min=0.01)
    ] = 50.0,
    max_bytes: Annotated[int, typer.Option(metavar="N", help="Refuse larger requests.", min=1)] = 20 << 20,
    timeout: Annotated[
        float,
        typer.Option(metavar="S", help="Seconds of a request, upload and waiting included.", min=0.1),
    ] = 30.0,
) -> None:
    """Edit photos over HTTP, until SIGTERM or Ctrl-C; what is in work then is finished.

    \b
    aif serve
    curl -F photo=@photo.jpg -F Smiling=1 localhost:8000/edit -o smile.jpg
    curl localhost:8000/attributes

    --ui adds a page for people who would rather look than type. Nothing asks for a password: to serve others
    than yourself put it behind a proxy that does. docs/serving.md tells the rest.
    """
    from aif.runtime.batch.machine import Machine

    machine = Machine(provider, detector, yunet, threads, precision)
    machine.check()
    options.check_there(bundle, "bundle", "Make one with aif-export.")
    what = "aif's own bundle" if bundle is None else str(bundle)
    typer.echo(f"Starting: loading {what}{' and the page' if ui else ''}, some seconds ...", err=True)
    from aif.runtime.bundle.bundle import Bundle
    from aif.runtime.machine import core_count
    from aif.runtime.serve.server import bind, known_hosts, serve_editor
    from aif.runtime.serve.settings import ServeSettings

    bound = bind(host, port)
    settings = ServeSettings(
        workers=workers or core_count(),
        queue=queue,
        max_megapixels=max_megapixels,
        max_bytes=max_bytes,
        timeout=timeout,
        hosts=known_hosts(bound.getsockname()[0], allow_host or []),
    )
    with machine.load(Bundle.open(bundle)) as editor:
        serve_editor(editor, settings, bound, ui, lambda text: typer.echo(text, err=True))
