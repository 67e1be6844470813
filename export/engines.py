"""TensorRT engines beside the graphs of a bundle, each behind its gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aif.export.graphs.crops import spread_crops
from aif.runtime.bundle.bundle import Bundle, check_place, write_bundle
from aif.runtime.bundle.storage import open_store
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.model.make import GateFaces, make_engines
from aif.runtime.tensorrt.build import BuildOptions, check_timing_cache
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.sidecar import Sidecar
from aif.runtime.tensorrt.store import FOLDER, bundle_files, engines_kept
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

    Engines for other machines stay, those in a bundle at `out` too; those of graphs that the bundle does not
    hold any more go.

    Args:
        path: a bundle with graphs of all the precisions, folder or zip.
        out: a folder, or a file name for a zip.
        precisions: one or more of "fp32" and "fp16".
        faces: at least 16, on which the engines are compared with the graphs.
        options: how to build.
        tell: called with a line for people before each long step; None = silence.

    Raises:
        ProviderError: TensorRT is not here.
        AifError: an engine cannot be built, or does not pass the gate; nothing is written.
        BundleError: `path` holds no sound bundle, or `out` cannot be written.
        ConfigError: the timing cache cannot be written.
    """
    bundle = Bundle.open(path)
    check_place(out)  # before minutes are spent
    check_timing_cache(options, load_library())
    frame = bundle.manifest.face_frame
    finder = None if frame is None else LandmarkNet(bundle)
    found = spread_crops(faces, bundle.manifest.image_size, frame, finder)
    crops = GateFaces(found.images, faces.name, found.landmarks)
    made = [each for name in precisions for each in make_engines(bundle, name, crops, options, tell)]
    new = tuple(sidecar for sidecar, _ in made)
    kept = engines_kept(out, bundle.manifest, new) | engines_kept(path, bundle.manifest, new)
    with open_store(path) as store:
        names = [name for name in store.names() if name != "manifest.json" and not name.startswith(FOLDER)]
        files = {name: store.read(name) for name in names}
    write_bundle(out, bundle.manifest, {**files, **kept, **bundle_files(made)})
    return new
