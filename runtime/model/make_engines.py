"""TensorRT engines of a bundle: built, compared with its graphs on faces, and described."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from importlib.metadata import version

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import ConfigError
from aif.runtime.model.autoencoder import Autoencoder
from aif.runtime.model.codes import FaceInputs
from aif.runtime.model.gate import Gate, for_manifest
from aif.runtime.model.model import FaceModel
from aif.runtime.networks.network import without_batch
from aif.runtime.networks.sessions import Session
from aif.runtime.tensorrt.build import BuildOptions, build_engine
from aif.runtime.tensorrt.engine import EngineSession
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.sidecar import PARTS, Sidecar
from aif.runtime.tensorrt.store import Engine, check_buildable, engine_name

logger = logging.getLogger(__name__)


def make_engines(
    bundle: Bundle,
    precision: str,
    faces: FaceInputs,
    gated_on: str,
    options: BuildOptions | None = None,
    report: Callable[[str], None] = logger.info,
) -> tuple[Engine, ...]:
    """Encoder and decoder of one precision as engines that have passed the gate. Nothing is written.

    Args:
        gated_on: what the sidecar calls them.

    Raises:
        ProviderError: TensorRT is not here.
        ConfigError: a precision that TensorRT cannot take, or no faces.
        BundleError: the bundle has no graphs of this precision.
        AifError: an engine cannot be built, or does not pass the gate.
    """
    check_buildable([precision])
    if not len(faces):
        raise ConfigError("Engines are checked on faces, and there are none.", "Name some: --data FOLDER")
    options = options or BuildOptions()
    machine, made = load_library(), []
    graphs = {part: bundle.graph_bytes(precision, part) for part in PARTS}
    for part, graph in graphs.items():
        session = Session(graph, "cpu", 1, part)
        report(f"Building the {part}'s {precision} engine, which takes minutes ...")
        engine = build_engine(graph, options)
        sidecar = Sidecar(
            part=part,
            precision=precision,
            file=engine_name(part, precision, machine),
            bytes=len(engine),
            sha256=hashlib.sha256(engine).hexdigest(),
            onnx_sha256=hashlib.sha256(graph).hexdigest(),
            inputs=without_batch(session.inputs),
            outputs=without_batch(session.outputs),
            profile=options.profile,
            **vars(machine),
            workspace=options.workspace,
            version_compatible=options.version_compatible,
            hardware_compatible=options.hardware_compatible,
            gate={},
            limits={},
            gated_on=gated_on,
            gated_faces=len(faces),
            aif=version("aif"),
        )
        made.append((sidecar, engine))
    original = FaceModel(bundle, "cpu", precision="fp32" if "fp32" in bundle.manifest.graphs else precision)
    gate = Gate(original, faces)
    encoder, decoder = (EngineSession(engine, sidecar) for sidecar, engine in made)
    engines = Autoencoder(bundle.manifest, precision, encoder, decoder, str(bundle.path))
    found = gate.figures(engines)
    logger.info("The %s engines against ONNX Runtime: %s", precision, found)
    gate.check(precision, found, "engines")
    measured = for_manifest(precision, found)
    return tuple((sidecar.model_copy(update=measured), engine) for sidecar, engine in made)
