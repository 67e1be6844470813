"""`aif-edit`: options in, pictures and videos out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aif.cli import options

# Parameters by where they make sense.
_LIVE_ONLY = ("camera_size", "camera_fps", "camera_format", "record", "headless", "virtual_camera", "mirror")
_NOT_LIVE = (
    *("out", "sweep", "show_attributes", "as_json", "recursive", "copy_unedited", "strip_location", "kind"),
    *("start", "fps"),
)
_NOT_RAY = (
    *("build_engines", "show_attributes", "as_json", "timings", "start", "end", "codec"),
    *("hardware", "fps", "webcam", *_LIVE_ONLY),
)


def edit(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Pictures, videos, GIFs, folders, patterns ('*.jpg'), numbered frames (f_%04d.png), 'demo' "
            "for a portrait to try with, '-' for a picture from standard input. With --webcam: a camera's "
            "number, /dev/videoN, rtsp://..., http://..., a video file, or 'synthetic'.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - Typer reads the default, nobody changes it
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUE",
            help="Attributes to change, with commas or --set again. 1 or on: present; 0 or off: absent; "
            "between: partly; beyond: exaggerated. NAME alone means on.",
        ),
    ] = [],  # noqa: B006 - Typer reads the default, nobody changes it
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="File, folder (existing, or ending in /), pattern with {stem} {name} {ext} {index}, or '-' "
            "for standard output. Default: {stem}_edited{ext} beside the picture.",
        ),
    ] = None,
    bundle: options.BundlePath = None,
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="warp|delta|replace",
            help="How to compose: warp moves and tints the photo, of bundles with landmarks; delta or "
            "replace of others. Default: the bundle's.",
        ),
    ] = None,
    faces: Annotated[
        str, typer.Option(metavar="all|largest|N", help="Which faces; N counts from the left, from 0 on.")
    ] = "all",
    detector: options.Detector = "auto",
    yunet: options.Yunet = None,
    provider: options.Provider = "auto",
    build_engines: options.BuildEngines = False,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", help="Threads of the networks. Default: one a core; beside films half."),
    ] = None,
    precision: options.Precision = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Write original and result side by side, also of videos.")
    ] = False,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Write a strip of each face with this attribute from absent to beyond."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Pictures in a sweep.")] = 7,
    show_attributes: Annotated[
        bool, typer.Option("--show-attributes", help="Print each face's attributes as the model sees them.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON a picture: faces, attributes, output.")
    ] = False,
    timings: Annotated[bool, typer.Option("--timings", help="Print the time of each stage.")] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into subfolders.")] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace existing files, and the picture itself if --out is it."),
    ] = False,
    copy_unedited: Annotated[
        bool, typer.Option("--copy-unedited", help="Copy pictures without a face to their output, and go on.")
    ] = False,
    strip_location: Annotated[
        bool,
        typer.Option(
            "--strip-location", help="Leave GPS position and names of places out of what is written."
        ),
    ] = False,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="jpeg, png, webp, heic, avif, tiff or bmp. Default: by --out, else as read.",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            metavar="1-100",
            help="Of lossy pictures; default: as read, else one that looks like the original. Of videos, "
            "whatever size it takes; default: 75, which looks like the original (H.264's CRF 18; ten more or "
            "less are 4 CRF).",
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin a video here: seconds or hh:mm:ss.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="End a video here.")] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of videos: h264, h265, vp9, av1. Default: h264, in .webm vp9, in .gif gif; of 10 bits or "
            "HDR h265, in .webm av1 (the others make them 8-bit SDR).",
        ),
    ] = None,
    hardware: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Encode videos on nvenc, videotoolbox, vaapi, qsv or amf. Default: on the processor.",
        ),
    ] = None,
    fps: Annotated[
        float | None, typer.Option(metavar="N", help="Frames a second of numbered pictures.")
    ] = None,
    max_megapixels: Annotated[
        float, typer.Option(metavar="N", help="Refuse larger pictures; 0 for no limit.")
    ] = 200.0,
    webcam: Annotated[
        bool,
        typer.Option("--webcam", help="Edit a camera's picture live; INPUT names it, camera 0 without one."),
    ] = False,
    camera_size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Ask the camera for this size: 1280x720.")
    ] = None,
    camera_fps: Annotated[
        float | None, typer.Option(metavar="N", help="Ask the camera for so many frames a second.")
    ] = None,
    camera_format: Annotated[
        str | None, typer.Option(metavar="XXXX", help="Ask the camera for this pixel format: MJPG, YUYV.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Record the live picture to this .mp4, .m4v, .mov or .mkv."),
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Edit live without a window.")] = False,
    virtual_camera: Annotated[
        bool,
        typer.Option("--virtual-camera", help="Offer the live picture to other programs as a camera."),
    ] = False,
    mirror: Annotated[bool, typer.Option("--mirror", help="Mirror the live picture.")] = False,
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray", help="ray: pictures on many machines; INPUT is a source and a destination."
        ),
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Of --engine ray. Default: one a GPU, or a processor.")
    ] = None,
) -> None:
    """Edit attributes of the faces in pictures and videos and leave everything else alone.

    \b
    aif-edit photo.jpg --set Smiling=1 -o smile.jpg
    aif-edit holiday/ --set Smiling --set Goatee=off -o edited/
    aif-edit '*.png' --set Smiling=0.5 -o 'new/{index:03d}_{stem}.jpg'
    aif-edit demo --sweep Smiling -o strip.png
    aif-edit photo.jpg --show-attributes
    aif-edit clip.mp4 --set Smiling=1 --start 0:10 --end 0:20 -o smile.mp4
    aif-edit --webcam --set Smiling=1
    aif-edit --engine ray s3://bucket/photos s3://bucket/edited --set Smiling=1
    aif-edit --webcam 1 --camera-size 1280x720 --headless --record out.mp4

    Kept: size, format, orientation, transparency, 16 bits, black and white, colour profile, EXIF and XMP with
    their GPS position (--strip-location leaves it out); of videos
    every frame's time, sound, subtitles and colours. Nothing is overwritten unless you say --overwrite.
    Ctrl-C ends a video where it stands, playable. A live picture ends with --end, Ctrl-C, q, or its window.

    Exit codes: 0 done, 1 an input failed, 2 a wrong option, 3 no face was found, 130 interrupted,
    143 terminated.
    """
    from aif.cli.edit import run
    from aif.runtime.batch.machine import Machine
    from aif.runtime.batch.places import Files
    from aif.runtime.batch.plan import Look, Output, Show, VideoChoices, parse_time
    from aif.runtime.errors import ConfigError
    from aif.runtime.image.kinds import format_for

    files = Files(tuple(inputs), out, recursive, overwrite)
    look = Look(tuple(settings), faces, mode, sweep, steps, compare)
    output = Output(
        None if kind is None else format_for(kind),
        quality,
        max_megapixels or None,
        copy_unedited,
        strip_location,
    )
    video = VideoChoices(parse_time(start, "--start"), parse_time(end, "--end"), codec, hardware, fps)
    machine = Machine(provider, detector, yunet, threads, precision, build_engines)
    machine.check()
    output.check()
    if engine not in ("local", "ray"):
        raise ConfigError(f"There is no engine {engine!r}.", "Known: --engine local, ray.")
    if engine == "ray":
        if option := options.first_given(context, _NOT_RAY):
            fix = "Leave it out, or leave out --engine ray."
            raise ConfigError(f"{option} makes no sense with --engine ray.", fix)
        raise typer.Exit(run.edit_many(files, look, output, machine, bundle, workers))
    if workers is not None:
        raise ConfigError("--workers is for --engine ray.", "Known: --engine local, ray.")
    if webcam:
        if option := options.first_given(context, _NOT_LIVE):
            fix = "Leave it out, or leave out --webcam."
            fix = "Record with --record FILE." if option == "--out" else fix
            raise ConfigError(f"{option} is of no use with --webcam.", fix)
        if len(inputs) > 1:
            fix = "Name one number, device, address or file: --webcam 1"
            raise ConfigError("--webcam takes one camera at a time.", fix)
        from aif.runtime.live import choices as live

        choices = live.LiveChoices(
            source=inputs[0] if inputs else "0",
            wanted=live.parse_format(camera_size, camera_fps, camera_format),
            record=record,
            overwrite=overwrite,
            headless=headless,
            virtual_camera=virtual_camera,
            compare=compare,
            mirror=mirror,
            seconds=video.end,
            timings=timings,
            quality=quality,
            codec=codec,
            hardware=hardware,
            threads=threads,
        )
        raise typer.Exit(run.edit_live(choices, look, machine, bundle))
    if not inputs:
        raise ConfigError(
            "Missing argument INPUT: nothing to edit was named.", "Name a picture or video, or use --webcam."
        )
    if option := options.first_given(context, _LIVE_ONLY):
        raise ConfigError(f"{option} is for live pictures.", "Add --webcam, or leave it out.")
    if sweep is None and options.first_given(context, ("steps",)):
        raise ConfigError("--steps is the number of pictures in a sweep.", "Add --sweep NAME.")
    show = Show(show_attributes, as_json, timings)
    raise typer.Exit(run.edit_here(files, look, output, video, machine, bundle, show))
