"""A model of shape and appearance as it is exported: from the linear baseline's folder, or from a
training's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from aif.runtime.bundle.manifest import AttributeInfo, HairInfo
from aif.runtime.errors import CheckpointError
from aif.runtime.files import replacing, write_text
from aif.runtime.geometry.frame import Frame
from aif.train.shape.linear.networks import LinearDecoder, LinearEncoder

SIDECAR, WEIGHTS, ABOUT = "linear.json", "linear.safetensors", "attributes.json"
TRAINING = "shape.json"


@dataclass(frozen=True)
class ShapeRun:
    """Encoder and decoder of textures and landmarks, in eval mode on the CPU.

    Attributes:
        encoder: (texture (N, 3, S, S), landmarks (N, 221, 2)) -> mean (N, Z), y (N, A).
        decoder: (z, y) -> texture, landmarks.
        frame: mean shape and triangles.
        attributes: y's columns with calibration.
        image_size, latent_size: S and Z.
        preset, steps, faces_seen, seed, data_name, data_fingerprint: where the weights came from.
        hair: colours of hair by attribute.
    """

    encoder: nn.Module
    decoder: nn.Module
    frame: Frame
    attributes: tuple[AttributeInfo, ...]
    image_size: int
    latent_size: int
    preset: str
    steps: int
    faces_seen: int
    seed: int
    data_name: str
    data_fingerprint: str
    hair: dict[str, HairInfo] = field(default_factory=dict)


_PLAIN = (
    "image_size",
    "latent_size",
    "preset",
    "steps",
    "faces_seen",
    "seed",
    "data_name",
    "data_fingerprint",
)


def save_linear(folder: Path, run: ShapeRun) -> None:
    """Write the linear baseline's folder; each file is written beside its place and renamed."""
    encoder = run.encoder
    assert isinstance(encoder, LinearEncoder)
    about: dict[str, Any] = {name: getattr(run, name) for name in _PLAIN}
    about["components"] = [encoder.points.out_features, encoder.texture.out_features]
    about["mean"] = run.frame.mean.astype(float).round(6).tolist()
    about["triangles"] = run.frame.triangles.tolist()
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous()
        for part, network in (("encoder", encoder), ("decoder", run.decoder))
        for name, tensor in network.state_dict().items()
    }
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part)
    save_attributes(folder, run.attributes, run.hair)
    _write(folder / SIDECAR, about)


def save_attributes(folder: Path, attributes: tuple[AttributeInfo, ...], hair: dict[str, HairInfo]) -> None:
    """Write what a model's manifest will say of its attributes: calibration, companions, colours of hair."""
    about = {
        "attributes": [each.model_dump() for each in attributes],
        "hair": {name: each.model_dump() for name, each in hair.items()},
    }
    _write(folder / ABOUT, about)


def is_shape_run(folder: Path) -> bool:
    """Whether a folder holds a model of this kind."""
    return (folder / SIDECAR).exists() or (folder / TRAINING).exists()


def load_shape_run(folder: Path) -> ShapeRun:
    """Open the folder of the linear baseline, or of a training.

    Raises:
        CheckpointError: it is missing, damaged or of a newer version.
    """
    try:
        if (folder / SIDECAR).exists():
            return _linear(folder)
        return _trained(folder)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        SafetensorError,
        ValidationError,
    ) as error:
        raise CheckpointError(
            f"{folder} holds no readable model of shape and appearance ({error}).",
            "Train one: aif-train --preset linear",
        ) from error


def _linear(folder: Path) -> ShapeRun:
    about = _read(folder / SIDECAR)
    plain = {name: about[name] for name in _PLAIN}
    attributes, hair = _attributes(folder)
    shape, texture = about["components"]
    size = plain["image_size"]
    encoder = LinearEncoder(size, shape, texture, len(attributes))
    decoder = LinearDecoder(size, encoder.z.out_features, len(attributes))
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
    for part, network in (("encoder.", encoder), ("decoder.", decoder)):
        own = {name.removeprefix(part): t for name, t in tensors.items() if name.startswith(part)}
        network.load_state_dict(own)
        network.eval().requires_grad_(False)
    frame = Frame(np.array(about["mean"], np.float32), np.array(about["triangles"], np.int32))
    return ShapeRun(**plain, encoder=encoder, decoder=decoder, frame=frame, attributes=attributes, hair=hair)


def _trained(folder: Path) -> ShapeRun:
    from aif.train.shape.best.run import load_shape_run as load_training

    run = load_training(folder)
    attributes, hair = _attributes(folder)
    return ShapeRun(
        encoder=run.encoder,
        decoder=run.decoder,
        frame=run.frame,
        attributes=attributes,
        image_size=run.size,
        latent_size=int(run.encoder.mean.out_features),
        preset="best",
        steps=run.step,
        faces_seen=run.faces_seen,
        seed=run.config.seed,
        data_name=str(run.data["name"]),
        data_fingerprint=str(run.data.get("fingerprint", "")),
        hair=hair,
    )


def _attributes(folder: Path) -> tuple[tuple[AttributeInfo, ...], dict[str, HairInfo]]:
    about = _read(folder / ABOUT)
    attributes = TypeAdapter(tuple[AttributeInfo, ...]).validate_python(about["attributes"])
    return attributes, TypeAdapter(dict[str, HairInfo]).validate_python(about["hair"])


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _write(path: Path, values: dict[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=1) + "\n")
