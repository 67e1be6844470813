"""A model without some of its attributes: what does not convince need not be offered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aif.export.graphs.exportable import ExportableModel
from aif.runtime.errors import ConfigError, UnknownAttributeError


class Codes(NamedTuple):
    """Posterior mean (N, Z) and the y (N, K) that are left."""

    mean: Tensor
    y: Tensor


class _Encoder(nn.Module):
    def __init__(self, encoder: nn.Module, kept: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.kept = encoder, list(kept)

    def forward(self, *inputs: Tensor) -> Codes:
        code = self.encoder(*inputs)
        return Codes(code.mean, code.y[:, self.kept])


class _Decoder(nn.Module):
    """Decodes with 0, absent, for what is left out."""

    def __init__(self, decoder: nn.Module, kept: Sequence[int], count: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.columns: Tensor
        self.register_buffer("columns", torch.eye(count)[list(kept)])

    def forward(self, z: Tensor, y: Tensor) -> Tensor | tuple[Tensor, ...]:
        found: Tensor | tuple[Tensor, ...] = self.decoder(z, y @ self.columns)
        return found


def without(model: ExportableModel, names: Sequence[str]) -> ExportableModel:
    """The model without these attributes: neither encoded, decoded nor offered.

    Raises:
        UnknownAttributeError: the model has no such attribute.
        ConfigError: none would be left.
    """
    for name in names:
        if name not in model.attribute_names:
            raise UnknownAttributeError(name, model.attribute_names, "this run")
    kept = [k for k, name in enumerate(model.attribute_names) if name not in names]
    if not kept:
        raise ConfigError("No attribute would be left.", "Leave out fewer.")
    if len(kept) == len(model.attributes):
        return model
    left = [model.attribute_names[k] for k in kept]
    infos = [
        info.model_copy(
            update={
                "takes_along": {k: v for k, v in info.takes_along.items() if k in left},
                "takes_along_off": {k: v for k, v in info.takes_along_off.items() if k in left},
                "excludes": tuple(name for name in info.excludes if name in left),
            }
        )
        for info in (model.attributes[k] for k in kept)
    ]
    return replace(
        model,
        encoder=_Encoder(model.encoder, kept).eval(),
        decoder=_Decoder(model.decoder, kept, len(model.attributes)).eval(),
        attributes=tuple(infos),
        hair={name: info for name, info in model.hair.items() if name in left},
    )
