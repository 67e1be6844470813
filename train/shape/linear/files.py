"""The folder of the linear baseline: linear.json, linear.safetensors and what its attributes are like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file
from torch import nn

from aif.runtime.errors import ConfigError
from aif.runtime.files import replacing, write_text
from aif.runtime.geometry.frame import Frame
from aif.train.shape.linear.networks import LinearEncoder, unfitted
from aif.train.shape.shape_run import ShapeRun, load_attributes, load_skin, save_attributes, save_skin

SIDECAR, WEIGHTS = "linear.json", "linear.safetensors"

_APART = ("encoder", "decoder", "frame", "attributes", "hair", "skin")
_PLAIN = tuple(each.name for each in fields(ShapeRun) if each.name not in _APART)


def already_there(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Whether the folder holds the model that was asked for, in JSON's terms; False where it is empty.

    Raises:
        ConfigError: it holds another one, or something else.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return False
    try:
        there = dict(json.loads((folder / SIDECAR).read_text(encoding="utf-8")).get("asked") or {})
        (folder / WEIGHTS).stat()
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{folder} is not empty and holds no such model.", "Choose another --out."
        ) from error
    wanted = json.loads(json.dumps(asked))
    if there != wanted:
        different = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
        raise ConfigError(
            f"{folder} holds another model (different: {', '.join(different)}).",
            "Choose another --out, or remove that folder.",
        )
    return True


def save_linear(folder: Path, run: ShapeRun, asked: Mapping[str, Any] | None = None) -> None:
    """Write the linear baseline's folder, and what was asked for; each file is written beside its place and
    renamed."""
    encoder = run.encoder
    assert isinstance(encoder, LinearEncoder)
    about: dict[str, Any] = {name: getattr(run, name) for name in _PLAIN}
    about["asked"] = dict(asked or {})
    about["components"] = [encoder.points.out_features, encoder.texture.out_features]
    about["mean"] = run.frame.mean.astype(float).round(6).tolist()
    about["triangles"] = run.frame.triangles.tolist()
    networks = nn.ModuleDict({"encoder": encoder, "decoder": run.decoder})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in networks.state_dict().items()}
    with replacing(folder / WEIGHTS) as part:
        save_file(tensors, part)
    save_attributes(folder, run.attributes, run.hair)
    save_skin(folder, run.skin)
    write_text(folder / SIDECAR, json.dumps(about, indent=1) + "\n")


def load_linear(folder: Path) -> ShapeRun:
    """Open the linear baseline's folder.

    Raises:
        OSError, ValueError, KeyError, SafetensorError: it is missing or damaged.
    """
    about = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
    plain = {name: about[name] for name in _PLAIN if name != "data_path"}
    attributes, hair = load_attributes(folder)
    tensors = load_file(folder / WEIGHTS)
    features = tensors["encoder.z.weight"].shape[1] - len(tensors["encoder.z.weight"])
    shape, texture = about["components"]
    encoder, decoder = unfitted(plain["image_size"], shape, texture, len(attributes), features)
    networks = nn.ModuleDict({"encoder": encoder, "decoder": decoder})
    networks.load_state_dict(tensors)
    networks.eval().requires_grad_(False)
    frame = Frame(np.array(about["mean"], np.float32), np.array(about["triangles"], np.int32))
    about_data = {"data_path": about.get("data_path"), "skin": load_skin(folder)}
    return ShapeRun(encoder, decoder, frame, attributes, **plain, hair=hair, **about_data)
