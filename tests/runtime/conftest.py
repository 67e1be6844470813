"""Tiny bundles of both kinds (tests/tiny_bundles.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_bundles import Parts, sha256, shape_parts, similarity_parts

from aif.runtime.bundle.bundle import Bundle, write_bundle
from aif.runtime.bundle.manifest import Manifest


@pytest.fixture(scope="session")
def toy_parts():
    """Manifest and files of a model of whole crops."""
    return similarity_parts()


@pytest.fixture(scope="session")
def shape_toy_parts():
    """Manifest and files of a model with shape."""
    return shape_parts()


@pytest.fixture(scope="session")
def toy_bundle(toy_parts, tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("toy") / "toy.aif", toy_parts.manifest, toy_parts.files)


@pytest.fixture(scope="session")
def shape_bundle(shape_toy_parts, tmp_path_factory):
    place = tmp_path_factory.mktemp("shape") / "shape.aif"
    return write_bundle(place, shape_toy_parts.manifest, shape_toy_parts.files)


@pytest.fixture(scope="session")
def make_bundle(toy_parts, tmp_path_factory):
    """Write the toy bundle with fields of its manifest, or graphs, changed."""
    return _maker(toy_parts, tmp_path_factory)


@pytest.fixture(scope="session")
def make_shape_bundle(shape_toy_parts, tmp_path_factory):
    """The same with the bundle of a model with shape."""
    return _maker(shape_toy_parts, tmp_path_factory)


def _maker(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    def make(graphs: dict[str, bytes] | None = None, **fields: Any) -> Bundle:
        files = {**parts.files, **(graphs or {})}
        data = parts.manifest.model_dump()
        for entry in (*data["graphs"]["fp32"].values(), data["landmarks"], data["matte"], data["detector"]):
            if entry is not None:
                entry["sha256"] = sha256(files[entry["file"]])
        manifest = Manifest.model_validate({**data, **fields})
        listed = {info.file for info in manifest.files()}
        files = {name: contents for name, contents in files.items() if name in listed}
        return write_bundle(tmp_path_factory.mktemp("bundle") / "made.aif", manifest, files)

    return make


@pytest.fixture(scope="session")
def cloudy():
    """Soft, pale noise with more red than blue: uint8 (240, 320, 3) BGR."""
    noise = np.random.default_rng(1).normal(0, 60, (240, 320, 3)).astype(np.float32)
    picture = 110 + 2 * cv2.GaussianBlur(noise, (0, 0), 4.0) + np.array([-20, 0, 15])
    return picture.clip(30, 200).astype(np.uint8)
