"""TensorRT engines beside the graphs of a bundle, each behind its gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aif.export.graphs.crops import spread_crops
from aif.export.graphs.faces import FaceReader
from aif.export.graphs.files import contents_of
from aif.runtime.bundle.bundle import Bundle, check_place, write_bundle
from aif.runtime.faces.landmarks import LandmarkNet
from aif.runtime.model.make_engines import make_engines
from aif.runtime.tensorrt.build import BuildOptions, check_timing_cache
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.sidecar import Sidecar
from aif.runtime.tensorrt.store import bundle_files, engines_kept
from aif.train.data.base import FaceDataset


def add_engines(
    path: Path,
    out: Path,
    precisions: Sequence[str],
    faces: FaceDataset,
    options: BuildOptions,
    report: Callable[[str], None],
    new: bool = False,
) -> tuple[Sidecar, ...]:
    """Write the bundle at `path` with engines for this machine to `out`, which may be the same place.

    Engines for other machines stay, those in a bundle at `out` too; those of graphs that the bundle does not
    hold any more go.

    Args:
        path: a bundle with graphs of all the precisions, folder or zip.
        precisions: one or more of "fp32" and "fp16".
        faces: at least 16, on which the engines are compared with the graphs.

    Raises:
        ProviderError: TensorRT is not here.
        AifError: an engine cannot be built, or does not pass the gate; nothing is written.
        TakenError: something has come to `out`, and it was to be `new`.
        BundleError: `path` holds no sound bundle, or `out` cannot be written.
        ConfigError: the timing cache cannot be written.
    """
    manifest, files = contents_of(path)
    bundle = Bundle(path, manifest)
    check_place(out)  # before minutes are spent
    check_timing_cache(options, load_library())
    frame = manifest.face_frame
    finder = None if frame is None else LandmarkNet(bundle)
    crops = spread_crops(faces, FaceReader(manifest.image_size, frame, finder))
    made = [
        engine
        for name in precisions
        for engine in make_engines(bundle, name, crops, faces.name, options, report)
    ]
    built = tuple(sidecar for sidecar, _ in made)
    kept = engines_kept(out, manifest, built) | engines_kept(path, manifest, built)
    write_bundle(out, manifest, {**files, **kept, **bundle_files(made)}, new)
    return built
