"""What stands beside a TensorRT engine: what it was built from and where, and so where it may run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from aif.runtime.bundle.attributes import Frozen
from aif.runtime.bundle.manifest import Sha256, first_fault
from aif.runtime.errors import BundleError

SUFFIX = ".engine"

Part = Literal["encoder", "decoder"]
PARTS: tuple[Part, Part] = ("encoder", "decoder")

# A version-compatible engine runs on later versions of its own major number, and on these later majors.
_ONWARD = {(10, 11)}

Capability = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$")]
Version = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)+([.a-z+-].*)?$")]


@dataclass(frozen=True)
class Machine:
    """What an engine depends on, here; `platform` is "linux-x86_64" or another."""

    tensorrt: str
    capability: str
    gpu: str
    platform: str


class BatchProfile(Frozen):
    """Numbers of faces that an engine takes at once: the least, the one it is tuned for, the most."""

    min: Annotated[int, Field(ge=1)]
    opt: Annotated[int, Field(ge=1)]
    max: Annotated[int, Field(ge=1, le=1024)]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min <= self.opt <= self.max:
            raise ValueError(f"{self.min},{self.opt},{self.max} is not in rising order")
        return self


class Sidecar(Frozen):
    """The JSON beside an engine.

    `file`, `bytes` and `sha256` are of the engine, `onnx_sha256` of the graph that it was built from.
    `inputs` and `outputs` map a tensor to its shape behind the batch. `tensorrt` to `platform` are the
    `Machine` that built it, `aif` the version. `workspace` is the builder's limit in bytes, None for
    TensorRT's own. `gate` holds how far the engine strayed from ONNX Runtime on `gated_faces` faces of
    `gated_on`, `limits` what was allowed (docs/tensorrt.md).
    """

    sidecar_version: Literal[1] = 1
    part: Part
    precision: str
    file: Annotated[str, StringConstraints(pattern=r"^[\w.+-]+\.engine$")]
    bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256
    onnx_sha256: Sha256
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    profile: BatchProfile
    tensorrt: Version
    capability: Capability
    gpu: str
    platform: str
    workspace: int | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    gate: dict[str, float]
    limits: dict[str, float]
    gated_on: str
    gated_faces: Annotated[int, Field(ge=1)]
    aif: str

    def to_json(self) -> str:
        """Indented JSON, ending in a newline."""
        return self.model_dump_json(indent=2) + "\n"


def parse_sidecar(text: bytes | str, where: str) -> Sidecar:
    """Read a sidecar; BundleError where it is damaged, or of a newer aif."""
    try:
        return Sidecar.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(
            f"{where} is damaged or of another aif: at {first_fault(error)}.", "Build the engine again."
        ) from error


def misfits(sidecar: Sidecar, machine: Machine, onnx_sha256: str | None) -> list[str]:
    """Why an engine may not be used on a machine for a graph; empty where it fits.

    Source: TensorRT's documentation, "Engine Compatibility" and "Support Matrix"; docs/tensorrt.md.
    """
    found = []
    if sidecar.onnx_sha256 != onnx_sha256:
        found.append("it was built from another graph than the bundle's")
    if sidecar.platform != machine.platform:
        found.append(f"it was built on {sidecar.platform}, this is {machine.platform}")
    if sidecar.tensorrt != machine.tensorrt:
        versions = f"TensorRT {sidecar.tensorrt} built it, here is {machine.tensorrt}"
        if not sidecar.version_compatible:
            found.append(versions)
        elif not _runs_on(sidecar.tensorrt, machine.tensorrt):
            found.append(f"{versions}, on which even its version-compatible engines do not run")
    if sidecar.capability != machine.capability:
        cards = f"it was built for compute capability {sidecar.capability} ({sidecar.gpu}), "
        if not sidecar.hardware_compatible:
            found.append(f"{cards}here is {machine.capability} ({machine.gpu})")
        elif _numbers(machine.capability) < (8, 0):
            found.append(f"{cards}hardware-compatible from 8.0 on; here is {machine.capability}")
    return found


def remark(sidecar: Sidecar, machine: Machine) -> str | None:
    """What to say of an engine that fits, but was tuned for another card; None where there is nothing."""
    if sidecar.gpu == machine.gpu:
        return None
    return f"it was tuned on {sidecar.gpu}; on {machine.gpu} it runs, and one built here may be faster"


def _runs_on(built: str, here: str) -> bool:
    major, newer = _numbers(built)[0], _numbers(here)[0]
    return _numbers(here) >= _numbers(built) and (major == newer or (major, newer) in _ONWARD)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 10.13.3.9.post1 is (10, 13, 3, 9)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else (0,)
