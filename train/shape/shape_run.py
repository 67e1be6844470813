"""What a model of shape and appearance is for export, and the file that says what its attributes are like."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel
from torch import nn

from aif.runtime.bundle.manifest import AttributeInfo, HairInfo
from aif.runtime.editing.shape.bare_skin import BareSkin
from aif.runtime.files import write_bytes, write_text
from aif.runtime.geometry.frame import Frame

ATTRIBUTES_FILE, SKIN_FILE = "attributes.json", "skin.npz"


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
        data_path: where the training faces lay; None = not known.
        hair: colours of hair by attribute.
        skin: the skin of faces without beards, and folds of age; None where no edit bares it.
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
    data_path: str | None = None
    skin: BareSkin | None = None


class _About(BaseModel):
    attributes: tuple[AttributeInfo, ...]
    hair: dict[str, HairInfo]


def save_attributes(folder: Path, attributes: tuple[AttributeInfo, ...], hair: dict[str, HairInfo]) -> None:
    """Write what a model's manifest will say of its attributes: calibration, companions, colours of hair."""
    about = _About(attributes=attributes, hair=hair)
    write_text(folder / ATTRIBUTES_FILE, about.model_dump_json(indent=1) + "\n")


def load_attributes(folder: Path) -> tuple[tuple[AttributeInfo, ...], dict[str, HairInfo]]:
    """What `save_attributes` wrote.

    Raises:
        OSError, ValueError: it is missing or damaged.
    """
    about = _About.model_validate_json((folder / ATTRIBUTES_FILE).read_bytes())
    return about.attributes, about.hair


def save_skin(folder: Path, skin: BareSkin | None) -> None:
    """Write the skin of faces without beards; for None, that of an earlier model goes."""
    if skin is None:
        (folder / SKIN_FILE).unlink(missing_ok=True)
    else:
        write_bytes(folder / SKIN_FILE, skin.stored())


def load_skin(folder: Path) -> BareSkin | None:
    """What `save_skin` wrote.

    Raises:
        OSError, BundleError: it cannot be read, or is damaged.
    """
    path = folder / SKIN_FILE
    return BareSkin.read(path.read_bytes()) if path.exists() else None
