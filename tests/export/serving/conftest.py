"""Bundles to serve: one of whole crops that hands a feature from encoder to decoder, one with landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tiny_bundles import shape_parts, similarity_parts

from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.bundle.manifest import AttributeInfo

RED_AND_BLUE = (AttributeInfo(name="Red"), AttributeInfo(name="Blue", minimum=0, maximum=1))


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory):
    """Write a bundle of whole crops: small_bundle(precisions=("fp32",), **fields of the manifest)."""

    def make(precisions: Sequence[str] = ("fp32",), **fields: Any) -> Bundle:
        known = {"name": "small one", "version": "3", "attributes": RED_AND_BLUE, "source_values": "rounded"}
        parts = similarity_parts(landmarks=None, **{**known, **fields})
        graphs = dict.fromkeys(precisions, parts.manifest.graphs["fp32"])
        files = {name: data for name, data in parts.files.items() if name != "landmarks.onnx"}
        place = tmp_path_factory.mktemp("small") / "small.aif"
        return write_bundle(place, parts.manifest.model_copy(update={"graphs": graphs}), files)

    return make


@pytest.fixture(scope="session")
def shaped_bundle(tmp_path_factory):
    """A bundle of textures and landmarks, called "small two"."""
    parts = shape_parts(name="small two")
    return write_bundle(tmp_path_factory.mktemp("small") / "two.aif", parts.manifest, parts.files)
