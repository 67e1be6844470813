"""The folder of the linear baseline: linear.json, linear.safetensors and what its attributes are like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file

from aif.runtime.files import replacing, write_text
from aif.runtime.geometry.frame import Frame
from aif.train.shape.linear.networks import LinearDecoder, LinearEncoder
from aif.train.shape.shape_run import ShapeRun, load_attributes, save_attributes

SIDECAR, WEIGHTS = "linear.json", "linear.safetensors"

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
    about: dict[str, Any] = {name: getattr(run, name) for name in (*_PLAIN, "data_path")}
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
    write_text(folder / SIDECAR, json.dumps(about, indent=1) + "\n")


def load_linear(folder: Path) -> ShapeRun:
    """Open the linear baseline's folder.

    Raises:
        OSError, ValueError, KeyError, SafetensorError: it is missing or damaged.
    """
    about = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
    plain = {name: about[name] for name in _PLAIN} | {"data_path": about.get("data_path")}
    attributes, hair = load_attributes(folder)
    shape, texture = about["components"]
    size = plain["image_size"]
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
    features = tensors["encoder.z.weight"].shape[1] - len(tensors["encoder.z.weight"])
    encoder = LinearEncoder(size, shape, texture, len(attributes), features)
    decoder = LinearDecoder(size, encoder.z.out_features, len(attributes))
    for part, network in (("encoder.", encoder), ("decoder.", decoder)):
        own = {name.removeprefix(part): t for name, t in tensors.items() if name.startswith(part)}
        network.load_state_dict(own)
        network.eval().requires_grad_(False)
    frame = Frame(np.array(about["mean"], np.float32), np.array(about["triangles"], np.int32))
    return ShapeRun(**plain, encoder=encoder, decoder=decoder, frame=frame, attributes=attributes, hair=hair)
