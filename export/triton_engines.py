"""TensorRT engines for a Triton repository, from a bundle's `engines/` or another folder.

Engines are read by the JSON beside each, which says what it was built from and for which card.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aif.runtime.bundle import Bundle
from aif.runtime.engine_sidecar import Sidecar, parse_sidecar
from aif.runtime.engine_store import FOLDER
from aif.runtime.errors import BundleError, ExportError
from aif.runtime.storage import open_store

_AGAIN = "Build the engines again, or leave them out: --engines none"

Read = Callable[[str], bytes]


@dataclass(frozen=True)
class ServedPair:
    """Encoder and decoder of one precision, as a repository takes them: ONNX graphs or engines.

    Attributes:
        label: what its models' names carry: "fp32", "trt_fp16".
        backend: of Triton.
        encoder, decoder: file name to contents; the first is the default.
        max_batch: the largest batch that all of them take.
        by_capability: compute capability ("8.9") to file name; None where there is one file.
    """

    label: str
    backend: Literal["onnxruntime", "tensorrt"]
    encoder: Mapping[str, bytes]
    decoder: Mapping[str, bytes]
    max_batch: int
    by_capability: Mapping[str, str] | None = None


def find_engines(bundle: Bundle, where: str) -> list[ServedPair]:
    """The engines to serve, a set for each precision and TensorRT version.

    Args:
        bundle: whose graphs they were built from.
        where: "auto" = those in the bundle, maybe none; "none"; else a folder, which has to hold some.

    Raises:
        ExportError: an engine is damaged, was built from other graphs, has no partner, or does not take one
            face; there is none in the folder.
    """
    if where == "none":
        return []
    if where == "auto":
        with open_store(bundle.path) as store:
            names = [name.removeprefix(FOLDER) for name in store.names() if name.startswith(FOLDER)]
            return _sets(bundle, names, lambda name: store.read(FOLDER + name), f"{bundle.path}: {FOLDER}")
    folder = Path(where)
    if not folder.is_dir():
        raise ExportError(
            f"There is no folder of engines at {folder}.", "Known beside a folder: --engines auto, none."
        )
    names = [file.name for file in folder.iterdir()]

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise ExportError(
                f"{folder / name} cannot be read: {error.strerror or error}.", _AGAIN
            ) from error

    found = _sets(bundle, names, read, f"{folder}/")
    if not found:
        raise ExportError(f"There are no engines in {folder}.", "An engine has a .json beside it.")
    return found


def _sets(bundle: Bundle, names: Sequence[str], read: Read, where: str) -> list[ServedPair]:
    groups: dict[tuple[str, str], dict[str, dict[str, Sidecar]]] = {}
    for name in sorted(names):
        if name.endswith(".json"):
            engine = _parse(read(name), where + name)
            _check(engine, bundle, where)
            by_card = groups.setdefault((engine.precision, engine.tensorrt), {})
            by_card.setdefault(engine.capability, {})[engine.part] = engine
    versions = {version for _, version in groups}
    sets = []
    for (precision, version), by_card in sorted(groups.items()):
        # A server has one TensorRT; its version is told only where somebody has to choose.
        kind = "trt" if len(versions) == 1 else f"trt{version.replace('.', '_')}"
        sets.append(_set(f"{kind}_{precision}", by_card, read, where))
    return sets


def _set(label: str, by_card: Mapping[str, Mapping[str, Sidecar]], read: Read, where: str) -> ServedPair:
    files: dict[str, dict[str, bytes]] = {"encoder": {}, "decoder": {}}
    names = {card: f"model_sm{card.replace('.', '')}.plan" for card in by_card}
    if len(names) == 1:
        names = dict.fromkeys(names, "model.plan")
    for card, pair in by_card.items():
        for part, contents in files.items():
            if part not in pair:
                known = next(iter(pair.values()))
                raise ExportError(f"{where}{known.file} has no {part} to go with it.", _AGAIN)
            contents[names[card]] = _verified(pair[part], read, where)
    return ServedPair(
        label,
        "tensorrt",
        files["encoder"],
        files["decoder"],
        max_batch=min(engine.profile.max for pair in by_card.values() for engine in pair.values()),
        by_capability=names if len(names) > 1 else None,
    )


def _parse(text: bytes, where: str) -> Sidecar:
    try:
        return parse_sidecar(text, where)
    except BundleError as error:
        raise ExportError(error.message, _AGAIN) from error


def _check(engine: Sidecar, bundle: Bundle, where: str) -> None:
    pair = bundle.manifest.graphs.get(engine.precision)
    known = None if pair is None else (pair.encoder if engine.part == "encoder" else pair.decoder).sha256
    if known != engine.onnx_sha256:
        raise ExportError(f"{where}{engine.file} was built from another graph than the bundle's.", _AGAIN)
    if engine.profile.min != 1:
        raise ExportError(
            f"{where}{engine.file} takes {engine.profile.min} faces or more; Triton also sends single ones.",
            "Build it for batches from 1 on.",
        )


def _verified(engine: Sidecar, read: Read, where: str) -> bytes:
    data = read(engine.file)
    if hashlib.sha256(data).hexdigest() != engine.sha256:
        raise ExportError(f"{where}{engine.file} is not the engine that its JSON describes.", _AGAIN)
    return data
