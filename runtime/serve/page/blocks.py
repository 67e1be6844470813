"""The page's parts and what they do: drop zone, before and after, sliders, sweep, download."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, cast

import gradio as gr

from aif.runtime.bundle.manifest import AttributeInfo, Mode
from aif.runtime.editing.attributes import grouped
from aif.runtime.editing.editor import FaceChoice
from aif.runtime.serve.errors import ServiceError
from aif.runtime.serve.page import page
from aif.runtime.serve.page.files import KEPT_SECONDS, PageFiles
from aif.runtime.serve.request import Wish
from aif.runtime.serve.turn import Service, run_job

_ALL = "all"
_FORGOTTEN = "The photo is not at hand, or has been forgotten by now: drop it again."
_CLICK = "() => document.querySelector('#file a, #file button, a#file, button#file')?.click()"
_HINT = (
    '<span class="key"></span>what the model sees in the face. Move a slider to change it: '
    "0 is absent, 1 present, beyond exaggerated."
)


def build(service: Service, files: PageFiles) -> Any:
    """The page as Gradio's `Blocks`.

    Args:
        service: its editor edits, in its pool, within its limits.
        files: where browsers fetch from.
    """
    attributes = service.editor.model.manifest.attributes
    work = _Work(service, files, attributes)
    with gr.Blocks(title="aif", analytics_enabled=False, fill_width=True) as blocks:
        opened = gr.State(None, time_to_live=KEPT_SECONDS)
        gr.HTML(
            "<h1>aif</h1><p>Change one thing about a face, and leave the rest alone.</p>",
            elem_id="head",
            padding=False,
        )
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=7, min_width=320, elem_id="left"):
                photo = gr.Image(
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "webcam", "clipboard"],
                    show_label=False,
                    height=520,
                    buttons=[],
                    elem_id="photo",
                    placeholder="# Drop a photo here\nor click to choose one; the camera is below",
                )
                # Not Pillow's but aif's reader is to say what is wrong with a file.
                photo.preprocess = _path_of
                compare = gr.ImageSlider(
                    visible=False,
                    show_label=False,
                    interactive=False,
                    buttons=["fullscreen"],
                    max_height=620,
                    elem_id="compare",
                )
                with gr.Row(visible=False, elem_id="actions") as buttons:
                    another = gr.Button("Another photo", size="md", min_width=100, elem_id="another")
                    download = gr.Button(
                        "Download", variant="primary", size="md", min_width=100, elem_id="download"
                    )
                # Clicked by the browser once the file is there.
                file = gr.DownloadButton("File", visible="hidden", elem_id="file")
                with gr.Column(visible=False, elem_id="sweep") as sweep:
                    gr.HTML("<h2>Sweep: one attribute from absent to exaggerated</h2>", padding=False)
                    with gr.Row():
                        which = gr.Dropdown(
                            [(_spoken(info.name), info.name) for info in attributes],
                            value=attributes[0].name,
                            show_label=False,
                            container=False,
                            min_width=120,
                            elem_id="which",
                        )
                        show = gr.Button("Show", size="md", min_width=90, scale=0, elem_id="show")
                    strip = gr.HTML("", elem_id="strip", padding=False)
            with gr.Column(scale=4, min_width=300, elem_id="panel"):
                gr.HTML("<h2>Attributes</h2>", padding=False)
                gr.HTML(_HINT, elem_id="hint", padding=False)
                faces = gr.Radio(
                    [("all", _ALL)], value=_ALL, label="Faces, from the left", visible=False, elem_id="faces"
                )
                sliders = _sliders(attributes)
                reset = gr.Button("Reset", size="md", interactive=False, elem_id="reset")
                modes = list(service.editor.path.modes)
                with gr.Accordion("How the edit is composed", open=False, visible=len(modes) > 1):
                    mode = gr.Radio(
                        modes,
                        value=service.editor.model.manifest.compositing,
                        show_label=False,
                        elem_id="mode",
                    )
        marks = gr.HTML("", elem_id="marks", padding=False)

        parts = [opened, photo, compare, buttons, sweep, strip, faces, reset, marks, *sliders]
        wish = [opened, faces, mode, *sliders]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        slow: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        photo.input(work.open, photo, parts, show_progress_on=photo, **slow)
        controls: list[Any] = [*sliders, mode]
        uses = [
            control.input(
                work.edit, wish, compare, trigger_mode="always_last", concurrency_limit=None, **quiet
            )
            for control in controls
        ]
        uses.append(faces.input(work.choose, [opened, faces], [compare, marks, *sliders], **quiet))
        uses.append(reset.click(work.choose, [opened, faces], [compare, marks, *sliders], **quiet))
        another.click(work.clear, None, parts, **quiet)
        uses.append(show.click(work.sweep, [which, *wish], strip, show_progress_on=which, **slow))
        written = download.click(work.write, wish, file, show_progress="hidden", **slow)
        for use in (*uses, written):
            # Its time counts from when it was set. Not set by the work itself, which may end after another
            # photo was dropped.
            use.then(_same, opened, opened, queue=False, **quiet)
        written.success(None, None, None, js=f"() => setTimeout({_CLICK}, 150)")
    return blocks


def _sliders(attributes: Sequence[AttributeInfo]) -> list[Any]:
    """A slider an attribute, in their order, laid out in groups; headings where there are several groups."""
    groups = grouped(attributes)
    places = {info.name: index for index, info in enumerate(attributes)}
    made: dict[str, Any] = {}
    for group, members in groups.items():
        if len(groups) > 1:
            gr.HTML(f"<h3>{group.capitalize()}</h3>", padding=False, elem_classes="group")
        for info in members:
            along = " and ".join(_spoken(name).lower() for name in info.takes_along)
            made[info.name] = gr.Slider(
                info.minimum,
                info.maximum,
                value=0.0,
                step=0.01,
                label=_spoken(info.name),
                info=f"takes {along} along, unless that is moved, too" if along else None,
                interactive=False,
                elem_id=f"attribute-{places[info.name]}",
                elem_classes="attribute",
                buttons=[],
            )
    return [made[info.name] for info in attributes]


class _Work:
    """What happens when something is touched. Errors are shown in a corner of the page."""

    def __init__(self, service: Service, files: PageFiles, attributes: Sequence[AttributeInfo]) -> None:
        self._service, self._files, self._attributes = service, files, attributes

    async def open(self, path: str | None) -> list[Any]:
        """A photo was dropped, or taken by the camera."""
        if path is None:
            return self.clear()
        limit = self._service.settings.max_megapixels
        job = partial(page.open_photo, self._service.editor, Path(path), Path(path).name, limit)
        opened: page.Opened = await self._run(job)
        choices = [("all", _ALL), *((str(n + 1), str(n)) for n in range(len(opened.faces)))]
        opened = replace(opened, before=Path(self._shown(opened)))
        picture = str(opened.before)
        return [
            opened,
            gr.update(visible=False),
            gr.update(value=(picture, picture), visible=True, slider_position=opened.before_share()),
            gr.update(visible=True),
            gr.update(visible=True),
            "",
            gr.update(choices=choices, value=_ALL, visible=len(opened.faces) > 1),
            gr.update(interactive=True),
            self._marks(opened, _ALL),
            *self._standing(opened, _ALL),
        ]

    def clear(self) -> list[Any]:
        """Back to the empty page."""
        return [
            None,
            gr.update(value=None, visible=True),
            gr.update(value=None, visible=False),
            gr.update(visible=False),
            gr.update(visible=False),
            "",
            gr.update(choices=[("all", _ALL)], value=_ALL, visible=False),
            gr.update(interactive=False),
            "",
            *(gr.update(value=0.0, interactive=False) for _ in self._attributes),
        ]

    async def edit(self, opened: page.Opened | None, faces: str, mode: Mode, *values: float) -> Any:
        """A slider was moved."""
        opened = _at_hand(opened)
        chosen, settings = _choice(faces), page.moved(opened, _choice(faces), values, self._attributes)
        job = partial(page.show_edit, self._service.editor, opened, settings, chosen, mode)
        data: bytes = await self._run(job)
        return self._shown(opened), self._files.write("edited.jpg", data)

    def choose(self, opened: page.Opened | None, faces: str) -> list[Any]:
        """Another face was chosen, or all sliders are to go back: the photo as it came."""
        opened = _at_hand(opened)
        picture = self._shown(opened)
        return [(picture, picture), self._marks(opened, faces), *self._standing(opened, faces)]

    async def sweep(
        self, name: str, opened: page.Opened | None, faces: str, mode: Mode, *values: float
    ) -> Any:
        """The strip was asked for."""
        opened = _at_hand(opened)
        chosen, settings = _choice(faces), page.moved(opened, _choice(faces), values, self._attributes)
        job = partial(page.show_sweep, self._service.editor, opened, name, settings, chosen, mode)
        panels: list[tuple[str, bytes]] = await self._run(job)
        figures = "".join(_figure(caption, data) for caption, data in panels)
        return f'<div class="strip">{figures}</div>'

    async def write(self, opened: page.Opened | None, faces: str, mode: Mode, *values: float) -> Any:
        """The whole file was asked for."""
        opened = _at_hand(opened)
        chosen, settings = _choice(faces), page.moved(opened, _choice(faces), values, self._attributes)
        if not settings:
            raise gr.Error("Nothing has been changed yet: move a slider.", print_exception=False)
        limit = self._service.settings.max_megapixels
        wish = Wish(settings, chosen, mode)
        name, done = await self._run(partial(page.whole_file, self._service.editor, opened, wish, limit))
        self._service.metrics.faces(len(done.faces))
        return self._files.write(name, done.data)

    async def _run(self, job: Any) -> Any:
        try:
            return await run_job(self._service, "page", job)
        except ServiceError as error:
            text = f"{error.message} {error.fix or ''}".strip()
            raise gr.Error(text, title="", print_exception=False) from error
        except FileNotFoundError as error:
            raise gr.Error(_FORGOTTEN, print_exception=False) from error

    def _shown(self, opened: page.Opened) -> str:
        """The original's file, which lives for as long as it is used."""
        self._files.use(opened.path)
        if opened.before.is_file() and self._files.use(opened.before):
            return str(opened.before)
        data = page.jpeg(opened.shown, opened.shown.pixels_hwc_bgr)
        return self._files.write("photo.jpg", data, brief=False)

    def _standing(self, opened: page.Opened, faces: str) -> list[Any]:
        """Every slider at its predicted value."""
        seen = opened.predicted(_choice(faces))
        return [gr.update(value=round(seen[info.name], 2), interactive=True) for info in self._attributes]

    def _marks(self, opened: page.Opened, faces: str) -> str:
        """The marks' places, as style."""
        seen = opened.predicted(_choice(faces))
        rules = []
        for index, info in enumerate(self._attributes):
            share = (seen[info.name] - info.minimum) / (info.maximum - info.minimum)
            rules.append(f"#attribute-{index} {{ --marked: visible; --seen: {min(max(share, 0), 1):.4f}; }}")
        return f"<style>{' '.join(rules)}</style>"


def _same(opened: page.Opened | None) -> page.Opened | None:
    return opened


def _at_hand(opened: page.Opened | None) -> page.Opened:
    """The photo, where the page still has one."""
    if opened is None:
        raise gr.Error(_FORGOTTEN, print_exception=False)
    return opened


def _path_of(payload: Any) -> str | None:
    """Where Gradio put what the browser sent; it has found the place to be its own."""
    return None if payload is None else payload.path


def _figure(caption: str, data: bytes) -> str:
    """One panel of the strip; its picture needs no file."""
    text = escape(caption.replace("_", " "))
    picture = base64.b64encode(data).decode()
    image = f'<img alt="{text}" src="data:image/jpeg;base64,{picture}">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def _choice(faces: str) -> FaceChoice:
    return int(faces) if faces.isdecimal() else cast(FaceChoice, _ALL)


def _spoken(name: str) -> str:
    """`Mouth_Slightly_Open` as people write it."""
    return name.replace("_", " ").capitalize()
