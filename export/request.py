"""What a user asks of an export: from a run or a bundle, with precisions and engines, to one bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aif.runtime.errors import ConfigError, nearest_names

if TYPE_CHECKING:  # a request is checked before all this is loaded
    from aif.export.bundle import ExportOptions, ExportReport
    from aif.runtime.bundle.manifest import Variant
    from aif.runtime.tensorrt.build import BuildOptions
    from aif.runtime.tensorrt.sidecar import Sidecar
    from aif.train.data.base import FaceDataset


PRECISIONS = ("fp32", "fp16", "int8")


def parse_precisions(text: str) -> tuple[str, ...]:
    """The precisions of "fp32,fp16,int8" but fp32, which every bundle holds; ConfigError for others."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in PRECISIONS:
            raise ConfigError(f"There is no precision {name!r}.", nearest_names(name, PRECISIONS))
    if not names:
        raise ConfigError("--precision names no precision.", f"Known: {', '.join(PRECISIONS)}.")
    return tuple(name for name in PRECISIONS[1:] if name in names)


@dataclass(frozen=True)
class EnginePlan:
    """Which TensorRT engines to build, and how."""

    precisions: tuple[str, ...]
    options: BuildOptions


@dataclass(frozen=True)
class ExportRequest:
    """What to make of what."""

    source: Path
    """Folder of a training run, or a bundle to add to."""
    out: Path
    """A folder, or a file name for a zip."""
    precisions: tuple[str, ...] = ()
    """What to make beside FP32."""
    data: Path | None = None
    """Faces for all checks; None = those of the training."""
    table: Path | None = None
    """The CSV of labels, where it is not beside the images."""
    engines: EnginePlan | None = None
    """TensorRT engines to build; None = none."""
    new: bool = False
    """What is at `out` by then stays."""

    @property
    def of_bundle(self) -> bool:
        """Whether the source is a bundle."""
        return self.source.is_file() or (self.source / "manifest.json").is_file()


@dataclass(frozen=True)
class Outcome:
    """What was made: the attributes of the model, new precisions, new engines, and of a run its report."""

    attributes: tuple[str, ...]
    variants: Mapping[str, Variant] = field(default_factory=dict)
    engines: tuple[Sidecar, ...] = ()
    report: ExportReport | None = None


def extend(request: ExportRequest, report: Callable[[str], None]) -> Outcome:
    """Add precisions and engines to a bundle; what is there already stays where engines are asked for.

    Raises:
        ConfigError: nothing is to be added.
        AifError: as `extend_bundle` and `add_engines`; nothing is written.
    """
    from aif.export.graphs.crops import check_real, open_crops
    from aif.runtime.bundle.bundle import Bundle, check_place

    check_place(request.out)
    if not (request.precisions or request.engines):
        raise ConfigError(
            f"{request.source} is a bundle, and nothing is to be added.",
            "To a bundle aif-export adds precisions (--precision fp16,int8) and engines (--trt).",
        )
    manifest = Bundle.open(request.source).manifest
    faces = open_crops(request.data, manifest.attribute_names, request.table, manifest.image_size)
    if request.data is None:
        check_real(faces, manifest.provenance.dataset)
    wanted = request.precisions
    if request.engines is not None:
        wanted = tuple(name for name in wanted if name not in manifest.graphs)
    variants: dict[str, Variant] = {}
    with _before_engines(request) as place:
        source = request.source
        if wanted:
            from aif.export.precision.precision import extend_bundle

            made = extend_bundle(source, place, wanted, faces, request.new).manifest.variants
            source, variants = place, {name: made[name] for name in wanted}
        return Outcome(manifest.attribute_names, variants, add_engines(request, source, faces, report))


def export_run(request: ExportRequest, options: ExportOptions, report: Callable[[str], None]) -> Outcome:
    """Export a run, with precisions and engines.

    Raises:
        AifError: as `open_exportable`, `without`, `export_bundle` and `add_engines`; nothing is written.
    """
    from aif.export.bundle import export_bundle
    from aif.export.graphs.crops import check_real, open_crops
    from aif.export.graphs.exportable import open_exportable, without
    from aif.runtime.bundle.bundle import check_place

    check_place(request.out)
    model = without(open_exportable(request.source), options.without)
    data = model.data_path if request.data is None else request.data
    faces = open_crops(data, model.attribute_names, request.table, model.image_size)
    if data is None and (request.precisions or request.engines or model.frame is not None):
        check_real(faces, model.provenance.dataset)
    with _before_engines(request) as place:
        made = export_bundle(model, place, faces, options, request.precisions, request.new)
        engines = add_engines(request, place, faces, report)
    return Outcome(model.attribute_names, made.variants, engines, made)


@contextmanager
def _before_engines(request: ExportRequest) -> Iterator[Path]:
    """Where the graphs go: to the end, or to a folder of a while where engines are still to join them."""
    if request.engines is None:
        yield request.out
        return
    with TemporaryDirectory() as folder:
        yield Path(folder) / "bundle"


def add_engines(
    request: ExportRequest, source: Path, faces: FaceDataset, report: Callable[[str], None]
) -> tuple[Sidecar, ...]:
    """Write the bundle at `source` with the requested engines, if any, to the request's `out`.

    Engines for other machines stay, those in a bundle at `out` too; those of graphs that the bundle does not
    hold any more go.

    Args:
        faces: at least 16, on which the engines are compared with the graphs.

    Raises:
        AifError: TensorRT is not here, an engine cannot be built or does not pass the gate, or `out` cannot
            be written; nothing is written.
    """
    plan = request.engines
    if plan is None:
        return ()
    from aif.export.graphs.crops import spread_crops
    from aif.export.graphs.faces import reader_of
    from aif.export.graphs.files import contents_of
    from aif.runtime.bundle.bundle import Bundle, write_bundle
    from aif.runtime.model.make_engines import make_engines
    from aif.runtime.tensorrt.store import bundle_files, engines_kept

    manifest, files = contents_of(source)
    bundle, crops = Bundle(source, manifest), spread_crops(faces, reader_of(manifest, files))
    made = [
        engine
        for name in plan.precisions
        for engine in make_engines(bundle, name, crops, faces.name, plan.options, report)
    ]
    built = tuple(sidecar for sidecar, _ in made)
    kept = engines_kept(request.out, manifest, built) | engines_kept(source, manifest, built)
    write_bundle(request.out, manifest, {**files, **kept, **bundle_files(made)}, request.new)
    return built
