"""The bundle: whole, with detectors that load, and an edit that comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.doctor.finding import Finding
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.faces.detect import make_detector
from aif.runtime.fetch import yunet_path
from aif.runtime.machine import DetectorName


def check_bundle(bundle: str) -> list[Finding]:
    """Every hash of the bundle that editing would take."""
    opened = Bundle.open(bundle or None)
    manifest = opened.manifest
    facts = {
        "path": str(opened.path),
        "name": manifest.name,
        "version": manifest.version,
        "image_size": manifest.image_size,
        "attributes": list(manifest.attribute_names),
        "precisions": list(manifest.graphs),
    }
    text = (
        f"{manifest.name} {manifest.version}, {manifest.image_size} px, {len(manifest.attribute_names)} "
        f"attributes, {', '.join(manifest.graphs)}; every hash is right"
    )
    return [Finding("bundle" if bundle else "embedded bundle", "ok", text, facts=facts)]


def check_detectors(bundle: str) -> list[Finding]:
    """The bundle's own, Haar with its landmark network, and YuNet."""
    own = _loaded(bundle, "aif", "face detector", "the bundle's own loads")
    haar = _loaded(bundle, "haar", "haar", "OpenCV's cascades and the bundle's landmark network load")
    try:
        path = yunet_path()
    except AifError as error:
        return [own, haar, Finding("yunet", "problem", error.message, error.fix)]
    if path is None:
        text = "not fetched; it is better on small faces"
        return [own, haar, Finding("yunet", "absent", text, "aif fetch yunet")]
    return [own, haar, _loaded(bundle, "yunet", "yunet", f"loads from {path}", path)]


def _loaded(bundle: str, kind: DetectorName, name: str, text: str, yunet: Path | None = None) -> Finding:
    try:
        make_detector(kind, Bundle.open(bundle or None), yunet)
    except AifError as error:
        if kind == "aif" and isinstance(error, ConfigError):
            return Finding(name, "absent", "the bundle brings none; the others look for the faces")
        return Finding(name, "problem", error.message.splitlines()[0], error.fix)
    return Finding(name, "ok", text, facts={} if yunet is None else {"path": str(yunet)})


def check_editing(bundle: str) -> list[Finding]:
    """Load everything as `aif-edit` does, look for a face, and edit a crop, all on the processor."""
    with Editor.load(bundle or None, provider="cpu") as editor:
        editor.detect(np.full((120, 160, 3), 128, dtype=np.uint8))
        size, name = editor.model.image_size, editor.attributes[0]
        info = editor.model.manifest.attributes[0]
        ramp = np.linspace(40, 215, size, dtype=np.float32).astype(np.uint8)
        crop = np.repeat(np.tile(ramp, (size, 1))[None, :, :, None], 3, axis=3)
        edited = editor.edit_crops(crop, {name: info.maximum}).images_nhwc_bgr
        if edited.shape != crop.shape:
            raise AifError(f"A crop of {crop.shape} came back as {edited.shape}.")
    return [Finding("editing", "ok", "a face crop was edited on the processor", facts={"attribute": name})]
