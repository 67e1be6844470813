"""TensorRT engines for a Triton repository, from a bundle's `engines/`."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import AifError
from aif.runtime.tensorrt.sidecar import PARTS
from aif.runtime.tensorrt.store import FOLDER, Stored, graph_sha256, read_engines

logger = logging.getLogger(__name__)

Cards = dict[str, dict[str, Stored]]
"""Engines by compute capability and part."""


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
    engines, refused = read_engines(bundle.path, FOLDER)
    found: dict[tuple[str, str], Cards] = {}
    for stored in engines:
        sidecar = stored.sidecar
        if sidecar.precision in bundle.manifest.graphs and sidecar.precision not in precisions:
            continue
        if wrong := _unservable(stored, bundle):
            refused.append(wrong)
            continue
        cards = found.setdefault((sidecar.precision, sidecar.tensorrt), {})
        cards.setdefault(sidecar.capability, {})[sidecar.part] = stored
    served: dict[tuple[str, str], Cards] = {}
    for key, cards in sorted(found.items()):
        for card, pair in cards.items():
            if len(pair) == len(PARTS):
                served.setdefault(key, {})[card] = pair
            else:
                (part,) = set(PARTS) - set(pair)
                refused += [f"{alone.where} has no {part} to go with it." for alone in pair.values()]
    for message in refused:
        logger.warning("%s It is left out of the repository.", message)
    # A server has one TensorRT; its version is named only where somebody has to choose.
    several = len({version for _, version in served}) > 1
    return [
        _served(f"trt{version.replace('.', '_') if several else ''}_{precision}", cards)
        for (precision, version), cards in served.items()
    ]


def _unservable(stored: Stored, bundle: Bundle) -> str | None:
    """Why an engine cannot be served; None where it can."""
    sidecar = stored.sidecar
    if graph_sha256(bundle, sidecar.precision, sidecar.part) != sidecar.onnx_sha256:
        return f"{stored.where} was built from another graph than the bundle's."
    if sidecar.profile.min != 1:
        least = sidecar.profile.min
        return f"{stored.where} takes {least} faces or more; Triton also sends single ones (--batch 1,2,16)."
    try:
        stored.verified()
    except AifError as error:
        return error.message
    return None


def _served(label: str, cards: Cards) -> ServedPair:
    one = len(cards) == 1
    names = {card: "model.plan" if one else f"model_sm{card.replace('.', '')}.plan" for card in cards}
    encoder, decoder = ({names[card]: cards[card][part].verified() for card in cards} for part in PARTS)
    most = min(stored.sidecar.profile.max for pair in cards.values() for stored in pair.values())
    return ServedPair(label, "tensorrt", encoder, decoder, most, None if one else names)
