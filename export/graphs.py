"""Encoder and decoder of a trained run as two ONNX graphs that explain themselves."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn

from aif.runtime.errors import ExportError
from aif.train.landmarks import forget_origin
from aif.train.run import TrainedRun

OPSET = 20


class EncoderGraph(nn.Module):
    """What the encoder's graph computes: image (N, 3, S, S) -> posterior mean z, y in [0, 1], features."""

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        self.encoder = run.encoder

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        code = self.encoder(image)
        return (code.mean, code.y, *code.features)


class DecoderGraph(nn.Module):
    """What the decoder's graph computes: z, y, features -> image (N, 3, S, S) in [0, 1]."""

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        self.decoder = run.decoder

    def forward(self, z: Tensor, y: Tensor, *features: Tensor) -> Tensor:
        image: Tensor = self.decoder(z, y, features)
        return image


@dataclass(frozen=True)
class ExportedGraphs:
    """Serialised ONNX models and the names of the features that go from one to the other."""

    encoder: bytes
    decoder: bytes
    features: tuple[str, ...]


def export_graphs(run: TrainedRun, metadata: str) -> ExportedGraphs:
    """Export a run's encoder and decoder (batch size dynamic, norms folded, opset 20, one file each).

    Args:
        run: networks in eval mode on the CPU.
        metadata: JSON that goes into each graph's metadata_props under "aif".

    Raises:
        ExportError: the exporter fails or writes a graph that the ONNX checker refuses.
    """
    size = run.config.network.image_size
    image = torch.rand(2, 3, size, size)
    encoder, decoder = EncoderGraph(run).eval(), DecoderGraph(run).eval()
    with torch.no_grad():
        z, y, *features = encoder(image)
    names = tuple(f"feature_{k}" for k in range(len(features)))
    return ExportedGraphs(
        _export(encoder, (image,), ["image"], ["z", "y", *names], metadata, "encoder"),
        _export(decoder, (z, y, *features), ["z", "y", *names], ["image"], metadata, "decoder"),
        names,
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
    plain = what == "encoder"
    shapes: tuple[object, ...] = (batch,) if plain else (batch, batch)
    if not plain and len(inputs) > 2:
        shapes = (*shapes, tuple(batch for _ in inputs[2:]))
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
                dynamic_shapes=shapes,
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
    found = [node.name for node in model.graph.input] + [node.name for node in model.graph.output]
    if found != [*input_names, *output_names]:
        raise ExportError(f"The {what}'s graph has inputs and outputs {found}.")
    left = sorted({node.op_type for node in model.graph.node} & {"BatchNormalization", "Dropout"})
    if left:
        raise ExportError(
            f"The {what}'s graph still holds {', '.join(left)}; normalisation was to be folded."
        )
    data: bytes = model.SerializeToString()
    return data
