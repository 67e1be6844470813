"""TensorRT engines for a Triton repository, from a bundle's `engines/`."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import AifError
from aif.runtime.tensorrt.sidecar import PARTS
from aif.runtime.tensorrt.store import FOLDER, Stored, graph_hashes, read_engines

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedPair:
    """Encoder and decoder of one precision, as a repository takes them: ONNX graphs or engines.

    Attributes:
        label: what its models' names carry: "fp32", "trt_fp16".
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


def find_engines(bundle: Bundle, precisions: Collection[str]) -> list[ServedPair]:
    """The engines in a bundle that can be served, a pair for each precision and TensorRT version.

    Those that cannot (other graphs, damaged, no partner, not for one face) are left out with a warning,
    those of other precisions without a word.
    """

    def refuse(message: str) -> None:
        logger.warning("%s It is left out of the repository.", message)

    listing = read_engines(bundle.path, FOLDER)
    for fault in listing.faults:
        refuse(fault)
    cards: dict[tuple[str, str, str], dict[str, Stored]] = {}
    for stored in listing.engines:
        sidecar = stored.sidecar
        if sidecar.precision in bundle.manifest.graphs and sidecar.precision not in precisions:
            continue
        wrong = _unservable(stored, bundle)
        if wrong is not None:
            refuse(wrong)
            continue
        key = sidecar.precision, sidecar.tensorrt, sidecar.capability
        cards.setdefault(key, {})[sidecar.part] = stored
    served: dict[tuple[str, str], dict[str, dict[str, Stored]]] = {}
    for (precision, version, card), pair in cards.items():
        if len(pair) < len(PARTS):
            (alone,) = pair.values()
            missing = next(part for part in PARTS if part not in pair)
            refuse(f"{alone.where} has no {missing} to go with it.")
        else:
            served.setdefault((precision, version), {})[card] = pair
    several = len({version for _, version in served}) > 1
    found = []
    for (precision, version), by_card in sorted(served.items()):
        # A server has one TensorRT; its version is named only where somebody has to choose.
        kind = f"trt{version.replace('.', '_')}" if several else "trt"
        found.append(_served(f"{kind}_{precision}", by_card))
    return found


def _unservable(stored: Stored, bundle: Bundle) -> str | None:
    """Why an engine cannot be served; None where it can."""
    sidecar = stored.sidecar
    known = graph_hashes(bundle, sidecar.precision) if sidecar.precision in bundle.manifest.graphs else {}
    if known.get(sidecar.part) != sidecar.onnx_sha256:
        return f"{stored.where} was built from another graph than the bundle's."
    if sidecar.profile.min != 1:
        least = sidecar.profile.min
        return f"{stored.where} takes {least} faces or more; Triton also sends single ones (--batch 1,2,16)."
    try:
        stored.verified()
    except AifError as error:
        return error.message
    return None


def _served(label: str, by_card: Mapping[str, Mapping[str, Stored]]) -> ServedPair:
    one = len(by_card) == 1
    names = {card: "model.plan" if one else f"model_sm{card.replace('.', '')}.plan" for card in by_card}
    encoder, decoder = (
        {names[card]: pair[part].verified() for card, pair in by_card.items()} for part in PARTS
    )
    most = min(stored.sidecar.profile.max for pair in by_card.values() for stored in pair.values())
    return ServedPair(label, "tensorrt", encoder, decoder, most, None if one else names)
