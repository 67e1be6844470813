"""Where engines lie, in a bundle or in the user's cache, and what is written there."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE, Bundle
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.bundle.storage import open_store
from aif.runtime.errors import AifError, BundleError, ConfigError
from aif.runtime.fetch import cache_folder
from aif.runtime.files import write_bytes, write_text
from aif.runtime.tensorrt.sidecar import SUFFIX, Machine, Part, Sidecar, parse_sidecar

FOLDER = "engines/"
MAX_SIDECAR_BYTES = 1 << 20
BUILDABLE = ("fp16", "fp32")
"""The precisions that engines are built in, the one that is taken unasked first."""

Engine = tuple[Sidecar, bytes]


@dataclass(frozen=True)
class Stored:
    """An engine that is there: what it says of itself, its file in the bundle or folder `place`, and whether
    the bundle brought it.
    """

    sidecar: Sidecar
    place: Path
    member: str
    brought: bool

    @property
    def where(self) -> str:
        """What to call it in a message."""
        return f"{self.place}: {self.member}"

    def verified(self) -> bytes:
        """The engine; BundleError where it is missing or not the one that its sidecar describes."""
        with open_store(self.place) as store:
            data = store.read(self.member)
        if hashlib.sha256(data).hexdigest() != self.sidecar.sha256:
            raise BundleError(f"{self.where} is not the engine that its sidecar describes.")
        return data


def check_buildable(precisions: Sequence[str]) -> None:
    """Raise ConfigError for INT8, which TensorRT cannot take, and for precisions that nobody knows."""
    if "int8" in precisions:
        raise ConfigError(
            "aif's INT8 graphs are made for processors (unsigned activations with zero points); TensorRT "
            "takes symmetric INT8 only.",
            "Build engines in FP16: --precision fp16",
        )
    if unknown := set(precisions) - set(BUILDABLE):
        raise ConfigError(f"There are no engines of {min(unknown)!r}.", f"Known: {', '.join(BUILDABLE)}.")


def engine_name(part: Part, precision: str, machine: Machine) -> str:
    """The file name of an engine: engines for several machines may lie side by side."""
    card = f"sm{machine.capability.replace('.', '')}"
    return f"{part}.{precision}.trt{machine.tensorrt}.{card}.{machine.platform}{SUFFIX}"


def read_engines(place: Path, folder: str = "", brought: bool = False) -> tuple[list[Stored], list[str]]:
    """The engines in a folder, or in the `folder` of a bundle, by the sidecars beside them, of which none is
    read; and what is wrong with sidecars that could not be.
    """
    engines: list[Stored] = []
    with open_store(place) as store:
        names = sorted(name for name in store.names() if name.startswith(folder))
        described = {name.removesuffix(".json") + SUFFIX for name in names}
        faults = [
            f"{place}: {name} has no sidecar (.json), so nobody knows where it fits"
            for name in names
            if name.endswith(SUFFIX) and name not in described
        ]
        for name in names:
            if name.endswith(".json"):
                try:
                    sidecar = parse_sidecar(store.read(name, MAX_SIDECAR_BYTES), f"{place}: {name}")
                    engines.append(Stored(sidecar, place, folder + sidecar.file, brought))
                except BundleError as error:
                    faults.append(error.message)
    return engines, faults


def find_engines(bundle: Bundle, brought: bool = True) -> tuple[list[Stored], list[str]]:
    """As `read_engines`, of the cache and, if wanted, of what the bundle brought; TensorRT is not loaded.

    An engine may bring a program of its own and is run by whoever loads it, so those that came with a bundle
    are only for users who have asked for them.
    """
    engines, faults = read_engines(bundle.path, FOLDER, brought=True) if brought else ([], [])
    for place in sorted({_cached(info.sha256) for info in bundle.manifest.files()}):
        if place.is_dir():
            more, wrong = read_engines(place)
            engines, faults = engines + more, faults + wrong
    return engines, faults


def graph_sha256(bundle: Bundle, precision: str, part: Part) -> str | None:
    """The hash of a graph; None where the bundle has none of this precision."""
    pair = bundle.manifest.graphs.get(precision)
    return None if pair is None else str(getattr(pair, part).sha256)


def build_command(bundle: Bundle, precision: str) -> str:
    """What to type for engines that fit this machine: in FP16 where TensorRT does not take the precision."""
    here = "add --provider tensorrt --build-engines to aif-edit with a photo of a face"
    if bundle.path == EMBEDDED_BUNDLE:
        return f"To build them: {here}."
    path = shlex.quote(str(bundle.path))
    precision = precision if precision in BUILDABLE else "fp16"
    return (
        f"Build them on this machine: aif-export {path} -o {path} --trt --precision {precision} --data FACES "
        f"(a folder of face crops); or {here}."
    )


def save_to_cache(made: Iterable[Engine]) -> tuple[Path, ...]:
    """Keep engines in the user's cache, by their graph's hash; AifError where it cannot be written."""
    places = []
    for sidecar, engine in made:
        place = _cached(sidecar.onnx_sha256) / sidecar.file
        try:
            write_bytes(place, engine)
            write_text(place.with_suffix(".json"), sidecar.to_json())
        except OSError as error:
            raise AifError(
                f"The engine cannot be kept at {place} ({error.strerror or error}).",
                "Make room there, or name another folder in AIF_CACHE.",
            ) from error
        places.append(place)
    return tuple(places)


def bundle_files(made: Iterable[Engine]) -> dict[str, bytes]:
    """Engines and sidecars as files of a bundle."""
    files: dict[str, bytes] = {}
    for sidecar, engine in made:
        files[FOLDER + sidecar.file] = engine
        files[FOLDER + sidecar.file.removesuffix(SUFFIX) + ".json"] = sidecar.to_json().encode()
    return files


def engines_kept(place: Path, manifest: Manifest, made: Iterable[Sidecar] = ()) -> dict[str, bytes]:
    """Engines and sidecars in the bundle at `place` that a bundle of `manifest` may go on holding: sound ones
    of its graphs that were not `made` anew. Empty where there is no sound bundle.
    """
    try:
        found, _ = read_engines(Bundle.open(place).path, FOLDER)
    except BundleError:
        return {}
    hashes = {info.sha256 for info in manifest.files()}
    new = {sidecar.file for sidecar in made}
    kept = []
    for each in found:
        if each.sidecar.onnx_sha256 in hashes and each.sidecar.file not in new:
            with suppress(BundleError):
                kept.append((each.sidecar, each.verified()))
    return bundle_files(kept)


def _cached(onnx_sha256: str) -> Path:
    return cache_folder() / "engines" / onnx_sha256[:32]
