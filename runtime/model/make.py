"""Build both engines of a precision, let them through the gate, and write their sidecars."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import numpy.typing as npt

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import ConfigError
from aif.runtime.model.gate import LIMITS, check_engine, engine_figures
from aif.runtime.model.model import FaceModel
from aif.runtime.networks.sessions import Session
from aif.runtime.tensorrt.build import BuildOptions, build_engine
from aif.runtime.tensorrt.engine import EngineSession
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.memory import Card
from aif.runtime.tensorrt.sidecar import PARTS, Sidecar
from aif.runtime.tensorrt.store import engine_name, graph_hashes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateFaces:
    """Faces for the gate, N at least 1, and what to call them.

    Attributes:
        crops_nchw: float32 (N, 3, S, S) RGB in [0, 1]; textures, for models with shape.
        landmarks: float32 (N, 221, 2) in units of the crop's side, for models with shape; else None.
    """

    crops_nchw: npt.NDArray[np.float32]
    name: str
    landmarks: npt.NDArray[np.float32] | None = None


def check_buildable(precisions: Sequence[str]) -> None:
    """Refuse the precisions that TensorRT cannot take.

    Raises:
        ConfigError: INT8, or one that nobody knows.
    """
    for precision in precisions:
        if precision == "int8":
            raise ConfigError(
                "aif's INT8 graphs are made for processors (unsigned activations with zero points); TensorRT "
                "takes symmetric INT8 only.",
                "Build engines in FP16: --precision fp16",
            )
        if precision not in LIMITS:
            raise ConfigError(f"There are no engines of {precision!r}.", f"Known: {', '.join(LIMITS)}.")


def make_engines(
    bundle: Bundle,
    precision: str,
    faces: GateFaces,
    options: BuildOptions,
    tell: Callable[[str], None] | None = None,
) -> tuple[tuple[Sidecar, bytes], ...]:
    """Encoder and decoder of one precision as engines that have passed the gate. Nothing is written.

    Args:
        bundle: has graphs of the precision.
        precision: "fp32" or "fp16".
        faces: for the gate.
        options: how to build.
        tell: called with a line for people before each long step; None = silence.

    Raises:
        ProviderError: TensorRT is not here.
        ConfigError: a precision that TensorRT cannot take, or no faces.
        BundleError: the bundle has no graphs of this precision.
        AifError: an engine cannot be built, or does not pass the gate.
    """
    check_buildable([precision])
    if not len(faces.crops_nchw):
        raise ConfigError("Engines are checked on faces, and there are none.", "Name some: --data FOLDER")
    library = load_library()
    card, made = Card(library), []
    graphs = {part: bundle.graph_bytes(precision, part) for part in PARTS}
    for part in PARTS:
        session = Session(graphs[part], "cpu", 1, part)
        if tell is not None:
            tell(f"Building the {part}'s {precision} engine, which takes minutes ...")
        engine = build_engine(library, graphs[part], list(session.inputs), options)
        sidecar = Sidecar(
            part=part,
            precision=precision,
            file=engine_name(part, precision, library.machine),
            bytes=len(engine),
            sha256=hashlib.sha256(engine).hexdigest(),
            onnx_sha256=graph_hashes(bundle, precision)[part],
            inputs=_shapes(session.inputs),
            outputs=_shapes(session.outputs),
            profile=options.profile,
            **vars(library.machine),
            workspace=options.workspace,
            version_compatible=options.version_compatible,
            hardware_compatible=options.hardware_compatible,
            gate={},
            limits={},
            gated_on=faces.name,
            gated_faces=len(faces.crops_nchw),
            aif=_own_version(),
        )
        made.append((sidecar, engine))
    encoder, decoder = (EngineSession(engine, sidecar, card) for sidecar, engine in made)
    original = FaceModel(bundle, "cpu", precision="fp32" if "fp32" in bundle.manifest.graphs else precision)
    engines = FaceModel.around(bundle, precision, encoder, decoder)
    figures = engine_figures(original, engines, faces.crops_nchw, faces.landmarks)
    logger.info("The %s engines against ONNX Runtime: %s", precision, figures)
    check_engine(precision, figures, len(faces.crops_nchw))
    measured = {
        "gate": {name: float(f"{value:.3g}") for name, value in figures.items()},
        "limits": {name: LIMITS[precision][name] for name in figures},
    }
    return tuple((sidecar.model_copy(update=measured), engine) for sidecar, engine in made)


def _shapes(shapes: dict[str, tuple[int | None, ...]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(size or 0 for size in shape[1:]) for name, shape in shapes.items()}


def _own_version() -> str:
    try:
        return version("aif")
    except PackageNotFoundError:
        return "unknown"
