"""Encoder and decoder of a trained model as two ONNX graphs that explain themselves."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout

import onnx
import torch
from torch import Tensor, nn

from aif.export.graphs.exportable import ExportableModel
from aif.export.graphs.files import Graphs
from aif.runtime.errors import ExportError
from aif.runtime.geometry.points import COUNT
from aif.runtime.model.codes import Decoded
from aif.train.small_graphs import forget_origin

OPSET = 20


class EncoderGraph(nn.Module):
    """What the encoder's graph computes: image (N, 3, S, S) -> posterior mean z, y in [0, 1].

    With shape also landmarks (N, 221, 2) in units of the crop's side go in, beside the texture.
    """

    columns: Tensor | None

    def __init__(self, model: ExportableModel) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.register_buffer("columns", model.columns)

    def forward(self, image: Tensor, landmarks: Tensor | None = None) -> tuple[Tensor, ...]:
        code = self.encoder(image) if landmarks is None else self.encoder(image, landmarks)
        return code.mean, code.y if self.columns is None else code.y @ self.columns.T


class DecoderGraph(nn.Module):
    """What the decoder's graph computes: z, y -> image (N, 3, S, S) in [0, 1].

    With shape: texture, landmarks (N, 221, 2) in units of the crop's side and detail (N, 3, S/4, S/4).
    """

    columns: Tensor | None

    def __init__(self, model: ExportableModel) -> None:
        super().__init__()
        self.decoder, self.shaped = model.decoder, model.frame is not None
        self.register_buffer("columns", model.columns)

    def forward(self, z: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        found = self.decoder(z, y if self.columns is None else y @ self.columns)  # left out is absent: 0
        return tuple(found) if self.shaped else (found,)


def export_graphs(model: ExportableModel, metadata: str) -> Graphs:
    """Export encoder and decoder (batch size dynamic, norms folded, opset 20, one file each).

    Args:
        metadata: JSON that goes into each graph's metadata_props under "aif".

    Raises:
        ExportError: the exporter fails or writes a graph that the ONNX checker refuses.
    """
    image = torch.rand(2, 3, model.image_size, model.image_size)
    encoder, decoder = EncoderGraph(model).eval(), DecoderGraph(model).eval()
    seen: tuple[Tensor, ...] = (image,)
    names = ["image"]
    if model.frame is not None:
        mean = torch.from_numpy(model.frame.mean)
        seen, names = (image, mean.expand(2, COUNT, 2).contiguous()), ["image", "landmarks"]
    with torch.no_grad():
        codes = encoder(*seen)
    return Graphs(
        _export(encoder, seen, names, ["z", "y"], metadata, "encoder"),
        _export(decoder, codes, ["z", "y"], Decoded.names(model.frame is not None), metadata, "decoder"),
    )


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    metadata: str,
    what: str,
) -> bytes:
    batch = {0: torch.export.Dim("N", min=1, max=1024)}
    chatter = logging.getLogger("onnxscript")
    level = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                inputs,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=(batch,) * len(inputs),
                opset_version=OPSET,
                dynamo=True,
                optimize=True,
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
        forget_origin(model.graph)
        onnx.helper.set_model_props(model, {"aif": metadata, "aif_graph": what})
        onnx.checker.check_model(model, full_check=True)
    except (RuntimeError, onnx.checker.ValidationError, torch.onnx.OnnxExporterError) as error:
        raise ExportError(f"The {what} could not be exported to ONNX: {error}") from error
    finally:
        chatter.setLevel(level)
    data: bytes = model.SerializeToString()
    return data
