"""What happens when something on the page is touched. Errors are shown in a corner of the page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from aif.runtime.bundle.manifest import Mode
from aif.runtime.editing.editor import FaceChoice
from aif.runtime.serve.errors import ServiceError
from aif.runtime.serve.forms import EditOptions
from aif.runtime.serve.page.files import PageFiles
from aif.runtime.serve.page.opened import Opened, jpeg, open_photo, show_edit, show_sweep, whole_file
from aif.runtime.serve.service import Checkpoint, Service

ALL = "all"
_FORGOTTEN = "The photo is not at hand, or has been forgotten by now: drop it again."

Result = TypeVar("Result")


class Events:
    """Callbacks of the page; each gives what its parts show from then on.

    `opened` is the photo on the page, None where there is none; `faces` "all" or a number as text; `values`
    those of the sliders, in the attributes' order.
    """

    def __init__(self, service: Service, files: PageFiles) -> None:
        self._service, self._files = service, files
        self._attributes = service.editor.model.manifest.attributes

    async def open(self, upload: dict[str, Any] | None) -> list[Any]:
        """A photo was dropped, or taken by the camera: the whole page."""
        if upload is None:
            return self.clear()
        limit, editor = self._service.settings.max_megapixels, self._service.editor
        opened = await self._run(lambda check: open_photo(editor, Path(upload["path"]), limit, check))
        before = self._files.write("photo.jpg", jpeg(opened.shown, opened.shown.pixels_hwc_bgr))
        return self._whole(replace(opened, before=Path(before)))

    def clear(self) -> list[Any]:
        """Back to the empty page."""
        return self._whole(None)

    def _whole(self, opened: Opened | None) -> list[Any]:
        """The whole page, with a photo or without."""
        there, count = opened is not None, 0 if opened is None else len(opened.faces)
        if opened is None:
            compare = gr.update(value=None, visible=False)
            marks_and_sliders = ["", *(gr.update(value=0.0, interactive=False) for _ in self._attributes)]
        else:
            both = str(opened.before), str(opened.before)
            compare = gr.update(value=both, visible=True, slider_position=opened.before_share())
            marks_and_sliders = self._standing(opened, ALL)
        return [
            opened,
            gr.update(visible=False) if there else gr.update(value=None, visible=True),
            compare,
            gr.update(visible=there),
            gr.update(visible=there),
            "",
            gr.update(choices=[ALL, *map(str, range(count))], value=ALL, visible=count > 1),
            gr.update(interactive=there),
            *marks_and_sliders,
        ]

    async def edit(self, opened: Opened | None, faces: str, mode: Mode, *values: float) -> tuple[str, str]:
        """A slider was moved: the pictures before and after."""
        opened, options = self._options(opened, faces, mode, values)
        data = await self._run(partial(show_edit, self._service.editor, opened, options))
        return str(opened.before), self._files.write("edited.jpg", data)

    def choose(self, opened: Opened | None, faces: str) -> list[Any]:
        """Another face was chosen, or all sliders are to go back: the photo as it came."""
        opened = self._at_hand(opened)
        return [(str(opened.before), str(opened.before)), *self._standing(opened, faces)]

    async def sweep(self, name: str, opened: Opened | None, faces: str, mode: Mode, *values: float) -> str:
        """The strip was asked for: its pictures, which need no files."""
        opened, options = self._options(opened, faces, mode, values)
        panels = await self._run(partial(show_sweep, self._service.editor, opened, name, options))
        figures = []
        for caption, data in panels:
            text, picture = escape(caption.replace("_", " ")), base64.b64encode(data).decode()
            image = f'<img alt="{text}" src="data:image/jpeg;base64,{picture}">'
            figures.append(f"<figure>{image}<figcaption>{text}</figcaption></figure>")
        return f'<div class="strip">{"".join(figures)}</div>'

    async def write(self, opened: Opened | None, faces: str, mode: Mode, *values: float) -> str:
        """The whole file was asked for: its path."""
        opened, options = self._options(opened, faces, mode, values)
        if not options.settings:
            raise gr.Error("Nothing has been changed yet: move a slider.", print_exception=False)
        limit = self._service.settings.max_megapixels
        name, done = await self._run(partial(whole_file, self._service.editor, opened, options, limit))
        self._service.metrics.faces.inc(len(done.faces))
        return self._files.write(name, done.data)

    async def _run(self, job: Callable[[Checkpoint], Result]) -> Result:
        try:
            with self._service.request("page"):
                result, _ = await self._service.places.run(job)
            return result
        except ServiceError as error:
            text = f"{error.message} {error.fix or ''}".strip()
            raise gr.Error(text, title="", print_exception=False) from error

    def _options(
        self, opened: Opened | None, faces: str, mode: Mode, values: tuple[float, ...]
    ) -> tuple[Opened, EditOptions]:
        opened, chosen = self._at_hand(opened), _choice(faces)
        return opened, EditOptions(opened.moved(chosen, values, self._attributes), chosen, mode)

    def _at_hand(self, opened: Opened | None) -> Opened:
        """The photo, whose files live for as long as they are used."""
        if opened is None or not self._files.use(opened.path, opened.before):
            raise gr.Error(_FORGOTTEN, print_exception=False)
        return opened

    def _standing(self, opened: Opened, faces: str) -> list[Any]:
        """The predicted values: where they are marked, as style, and every slider at its own."""
        seen = opened.predicted(_choice(faces))
        rules, sliders = [], []
        for index, info in enumerate(self._attributes):
            value = seen[info.name]
            share = min(max((value - info.minimum) / (info.maximum - info.minimum), 0), 1)
            rules.append(f"#attribute-{index} {{ --marked: visible; --seen: {share:.4f}; }}")
            sliders.append(gr.update(value=round(value, 2), interactive=True))
        return [f"<style>{' '.join(rules)}</style>", *sliders]


def _choice(faces: str) -> FaceChoice:
    return int(faces) if faces.isdecimal() else "all"
