"""The page's parts: drop zone, before and after, sliders, sweep, download; which of them calls what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from aif.runtime.bundle.manifest import AttributeInfo
from aif.runtime.editing.attributes import grouped
from aif.runtime.serve.page.events import ALL, Events
from aif.runtime.serve.page.files import KEPT_SECONDS, PageFiles
from aif.runtime.serve.service import Service

_CLICK = (
    "() => setTimeout("
    "() => document.querySelector('#file a, #file button, a#file, button#file')?.click(), 150)"
)
_HINT = (
    '<span class="key"></span>what the model sees in the face. Move a slider to change it: '
    "0 is absent, 1 present, beyond exaggerated."
)


def build(service: Service, files: PageFiles) -> Any:
    """The page as Gradio's `Blocks`."""
    attributes = service.editor.model.manifest.attributes
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
                    [ALL],
                    value=ALL,
                    label="Faces, from the left, as --faces counts them",
                    visible=False,
                    elem_id="faces",
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

        events = Events(service, files)
        whole_page = [opened, photo, compare, buttons, sweep, strip, faces, reset, marks, *sliders]
        chosen, wanted = [compare, marks, *sliders], [opened, faces, mode, *sliders]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        slow: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        # Without Gradio's preprocessing: not Pillow's but aif's reader is to say what is wrong with a file.
        photo.input(events.open, photo, whole_page, show_progress_on=photo, preprocess=False, **slow)
        another.click(events.clear, None, whole_page, **quiet)
        live = {"trigger_mode": "always_last", "concurrency_limit": None, **quiet}
        uses = [control.input(events.edit, wanted, compare, **live) for control in (*sliders, mode)]
        uses.append(faces.input(events.choose, [opened, faces], chosen, **quiet))
        uses.append(reset.click(events.choose, [opened, faces], chosen, **quiet))
        uses.append(show.click(events.sweep, [which, *wanted], strip, show_progress_on=which, **slow))
        written = download.click(events.write, wanted, file, show_progress="hidden", **slow)
        for use in (*uses, written):
            # A state's time counts from when it was set. Not set by the work itself, which may end after
            # another photo was dropped.
            use.then(lambda same: same, opened, opened, queue=False, **quiet)
        written.success(None, None, None, js=_CLICK)
    return blocks


def _sliders(attributes: Sequence[AttributeInfo]) -> list[Any]:
    """A slider an attribute, in their order, laid out in groups; headings where there are several groups."""
    groups = grouped(attributes)
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
                elem_id=f"attribute-{attributes.index(info)}",
                elem_classes="attribute",
                buttons=[],
            )
    return [made[info.name] for info in attributes]


def _spoken(name: str) -> str:
    """`Mouth_Slightly_Open` as people write it."""
    return name.replace("_", " ").capitalize()
