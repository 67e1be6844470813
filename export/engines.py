"""TensorRT engines beside the graphs of a bundle, each behind its gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aif.export.crops import spread_crops
from aif.runtime.bundle import Bundle, write_bundle
from aif.runtime.engine_make import GateFaces, make_engines
from aif.runtime.engine_sidecar import Sidecar
from aif.runtime.engine_store import FOLDER, bundle_files, find_engines, graph_hashes
from aif.runtime.storage import open_store
from aif.runtime.tensorrt_build import BuildOptions
from aif.train.data.base import FaceDataset


def add_engines(
    path: Path,
    out: Path,
    precisions: Sequence[str],
    faces: FaceDataset,
    options: BuildOptions,
    tell: Callable[[str], None] | None = None,
) -> tuple[Sidecar, ...]:
    """Write the bundle at `path` with engines for this machine to `out`, which may be the same place.

    Engines for other machines stay; those of graphs that the bundle does not hold any more go.

    Args:
        path: a bundle with graphs of all the precisions, folder or zip.
        out: a folder, or a file name for a zip.
        precisions: one or more of "fp32" and "fp16".
        faces: at least 16, on which the engines are compared with the graphs.
        options: how to build.
        tell: called with a line for people before each long step; None = nobody is told.

    Raises:
        ProviderError: TensorRT is not here.
        AifError: an engine cannot be built, or does not pass the gate; nothing is written.
        BundleError: `path` holds no sound bundle, or `out` cannot be written.
    """
    bundle = Bundle.open(path)
    crops = GateFaces(spread_crops(faces, bundle.manifest.image_size), faces.name)
    made = [each for name in precisions for each in make_engines(bundle, name, crops, options, tell)]
    hashes = {sha for name in bundle.manifest.graphs for sha in graph_hashes(bundle, name).values()}
    kept = {
        Path(each.sidecar.file).stem
        for each in find_engines(bundle).engines
        if each.sidecar.onnx_sha256 in hashes
    }
    with open_store(path) as store:
        names = [name for name in store.names() if name != "manifest.json"]
        files = {
            name: store.read(name)
            for name in names
            if not name.startswith(FOLDER) or name.removeprefix(FOLDER).rpartition(".")[0] in kept
        }
    write_bundle(out, bundle.manifest, {**files, **bundle_files(made)})
    return tuple(sidecar for sidecar, _ in made)
