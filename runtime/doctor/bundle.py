"""The bundle: whole, with detectors that load, and an edit that comes out."""

from __future__ import annotations

import numpy as np

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.doctor.finding import Finding
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.faces.detect import make_detector
from aif.runtime.fetch import yunet_path


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
    return [_own(bundle), _haar(bundle), _yunet(bundle)]


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


def _own(bundle: str) -> Finding:
    try:
        make_detector("aif", Bundle.open(bundle or None))
    except ConfigError:
        return Finding("face detector", "absent", "the bundle brings none; the others look for the faces")
    except AifError as error:
        return Finding("face detector", "problem", error.message, error.fix)
    return Finding("face detector", "ok", "the bundle's own loads")


def _haar(bundle: str) -> Finding:
    try:
        make_detector("haar", Bundle.open(bundle or None))
    except AifError as error:
        return Finding("haar", "problem", error.message, error.fix)
    return Finding("haar", "ok", "OpenCV's cascades and the bundle's landmark network load")


def _yunet(bundle: str) -> Finding:
    try:
        path = yunet_path()
        if path is None:
            return Finding("yunet", "absent", "not fetched; it is better on small faces", "aif fetch yunet")
        make_detector("yunet", Bundle.open(bundle or None), path)
    except AifError as error:
        return Finding("yunet", "problem", error.message.splitlines()[0], error.fix)
    return Finding("yunet", "ok", f"loads from {path}", facts={"path": str(path)})
