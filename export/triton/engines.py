"""TensorRT engines for a Triton repository, from a bundle's `engines/` or another folder.

Engines are read by the JSON beside each, which says what it was built from and for which card.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.bundle.storage import open_store
from aif.runtime.errors import AifError, BundleError, ExportError
from aif.runtime.tensorrt.sidecar import PARTS, Sidecar, parse_sidecar
from aif.runtime.tensorrt.store import FOLDER

_AGAIN = "Build the engines again, or leave them out: --engines none"

logger = logging.getLogger(__name__)

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


def find_engines(bundle: Bundle, where: str, precisions: Collection[str]) -> list[ServedPair]:
    """The engines to serve, a set for each precision and TensorRT version.

    Args:
        bundle: whose graphs they were built from.
        where: "auto" = those in the bundle that can be served, maybe none, and a warning for each other;
            "none"; else a folder, which has to hold some, all of them fit to be served.
        precisions: those to serve; engines of others are left out without a word.

    Raises:
        ExportError: an engine in the folder is damaged, was built from other graphs, has no partner, or does
            not take one face; there is none in the folder.
    """
    if where == "none":
        return []
    if where == "auto":
        with open_store(bundle.path) as store:
            names = [name.removeprefix(FOLDER) for name in store.names() if name.startswith(FOLDER)]
            known = _Engines(bundle, lambda name: store.read(FOLDER + name), f"{bundle.path}: {FOLDER}", True)
            return known.sets(names, precisions)
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

    found = _Engines(bundle, read, f"{folder}/", False).sets(names, precisions)
    if not found:
        raise ExportError(
            f"There are no engines of precision {' or '.join(precisions)} in {folder}.",
            "An engine has a .json beside it. To serve the ONNX graphs alone: --engines none",
        )
    return found


@dataclass(frozen=True)
class _Engines:
    """Engines in one place.

    Attributes:
        bundle: whose graphs they have to be of.
        read: a file of the place.
        where: the place, for messages.
        lenient: what cannot be served is left out with a warning, and is no error.
    """

    bundle: Bundle
    read: Read
    where: str
    lenient: bool

    def sets(self, names: Sequence[str], precisions: Collection[str]) -> list[ServedPair]:
        """What can be served of the files of these names."""
        cards: dict[tuple[str, str, str], dict[str, Sidecar]] = {}
        for name in sorted(names):
            with self._left_out():
                if name.endswith(".json"):
                    engine = _parse(self.read(name), self.where + name)
                    if engine.precision in self.bundle.manifest.graphs and engine.precision not in precisions:
                        continue
                    _check(engine, self.bundle, self.where)
                    key = engine.precision, engine.tensorrt, engine.capability
                    cards.setdefault(key, {})[engine.part] = engine
        groups: dict[tuple[str, str], dict[str, _Loaded]] = {}
        for (precision, version, card), pair in cards.items():
            with self._left_out():
                groups.setdefault((precision, version), {})[card] = self._load(pair)
        groups = {key: by_card for key, by_card in groups.items() if by_card}
        versions = {version for _, version in groups}
        sets = []
        for (precision, version), by_card in sorted(groups.items()):
            # A server has one TensorRT; its version is named only where somebody has to choose.
            kind = "trt" if len(versions) == 1 else f"trt{version.replace('.', '_')}"
            sets.append(_set(f"{kind}_{precision}", by_card))
        return sets

    def _load(self, pair: Mapping[str, Sidecar]) -> _Loaded:
        for part in PARTS:
            if part not in pair:
                known = next(iter(pair.values()))
                raise ExportError(f"{self.where}{known.file} has no {part} to go with it.", _AGAIN)
        encoder, decoder = (_verified(pair[part], self.read, self.where) for part in PARTS)
        return _Loaded(encoder, decoder, min(engine.profile.max for engine in pair.values()))

    @contextlib.contextmanager
    def _left_out(self) -> Iterator[None]:
        try:
            yield
        except AifError as error:
            if not self.lenient:
                raise
            logger.warning("%s It is left out of the repository.", error.message)


@dataclass(frozen=True)
class _Loaded:
    """Both engines for one card, and the largest batch that both take."""

    encoder: bytes
    decoder: bytes
    max_batch: int


def _set(label: str, by_card: Mapping[str, _Loaded]) -> ServedPair:
    names = {card: f"model_sm{card.replace('.', '')}.plan" for card in by_card}
    if len(names) == 1:
        names = dict.fromkeys(names, "model.plan")
    return ServedPair(
        label,
        "tensorrt",
        {names[card]: pair.encoder for card, pair in by_card.items()},
        {names[card]: pair.decoder for card, pair in by_card.items()},
        max_batch=min(pair.max_batch for pair in by_card.values()),
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
            "Build it for batches from 1 on, or leave engines out: --engines none",
        )


def _verified(engine: Sidecar, read: Read, where: str) -> bytes:
    data = read(engine.file)
    if hashlib.sha256(data).hexdigest() != engine.sha256:
        raise ExportError(f"{where}{engine.file} is not the engine that its JSON describes.", _AGAIN)
    return data
