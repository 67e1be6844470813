"""What a user asks of an export: from a run or a bundle, with precisions and engines, to one bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aif.runtime.errors import ConfigError

if TYPE_CHECKING:  # a request is checked before all this is loaded
    from aif.export.bundle import ExportOptions, ExportReport
    from aif.runtime.bundle.manifest import Variant
    from aif.runtime.tensorrt.build import BuildOptions
    from aif.runtime.tensorrt.sidecar import Sidecar
    from aif.train.data.base import FaceDataset


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
    from aif.export.graphs.crops import open_crops
    from aif.export.precision.choice import check_real
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
        return Outcome(manifest.attribute_names, variants, _engines(request, source, faces, report))


def export_run(request: ExportRequest, options: ExportOptions, report: Callable[[str], None]) -> Outcome:
    """Export a run, with precisions and engines.

    Raises:
        ConfigError: the model cannot be composited as `options` say.
        AifError: as `export_bundle` and `add_engines`; nothing is written.
    """
    from aif.export.bundle import export_bundle
    from aif.export.graphs.crops import open_crops
    from aif.export.graphs.exportable import open_exportable
    from aif.export.graphs.subset import without
    from aif.export.precision.choice import check_mode, check_real
    from aif.runtime.bundle.bundle import check_place

    check_place(request.out)
    model = without(open_exportable(request.source), options.without)
    check_mode(options.compositing, model.frame is not None)
    place = model.data_path if request.data is None else request.data
    faces = open_crops(place, model.attribute_names, request.table, model.image_size)
    if place is None and (request.precisions or request.engines or model.frame is not None):
        check_real(faces, model.provenance.dataset)
    options = replace(options, precisions=request.precisions, new=request.new)
    with _before_engines(request) as place:
        made = export_bundle(request.source, place, faces, options)
        engines = _engines(request, place, faces, report)
    return Outcome(model.attribute_names, made.variants, engines, made)


@contextmanager
def _before_engines(request: ExportRequest) -> Iterator[Path]:
    """Where the graphs go: to the end, or to a folder of a while where engines are still to join them."""
    if request.engines is None:
        yield request.out
        return
    with TemporaryDirectory() as folder:
        yield Path(folder) / "bundle"


def _engines(
    request: ExportRequest, source: Path, faces: FaceDataset, report: Callable[[str], None]
) -> tuple[Sidecar, ...]:
    plan = request.engines
    if plan is None:
        return ()
    from aif.export.add_engines import add_engines

    return add_engines(source, request.out, plan.precisions, faces, plan.options, report, request.new)
