"""Where engines lie, in a bundle or in the user's cache, and what is written there."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE, Bundle
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.bundle.storage import open_store
from aif.runtime.errors import AifError, BundleError, ConfigError
from aif.runtime.fetch import cache_folder
from aif.runtime.files import write_bytes, write_text
from aif.runtime.tensorrt.sidecar import PARTS, SUFFIX, Machine, Part, Sidecar, parse_sidecar

FOLDER = "engines/"
MAX_SIDECAR_BYTES = 1 << 20
BUILDABLE = ("fp16", "fp32")
"""The precisions that engines are built in, the one that is taken unasked first."""

Engine = tuple[Sidecar, bytes]


@dataclass(frozen=True)
class Stored:
    """An engine that is there: what it says of itself, its place, its bytes (not checked), and whether the
    bundle brought it.
    """

    sidecar: Sidecar
    where: str
    read: Callable[[], bytes]
    brought: bool

    def verified(self) -> bytes:
        """The engine; BundleError where it is missing or not the one that its sidecar describes."""
        data = self.read()
        if len(data) != self.sidecar.bytes or hashlib.sha256(data).hexdigest() != self.sidecar.sha256:
            raise BundleError(f"{self.where} is not the engine that its sidecar describes.")
        return data


@dataclass(frozen=True)
class EngineListing:
    """Engines, those in a bundle first, and what is wrong with what could not be read."""

    engines: tuple[Stored, ...]
    faults: tuple[str, ...]


def check_buildable(precisions: Sequence[str]) -> None:
    """Raise ConfigError for INT8, which TensorRT cannot take, and for precisions that nobody knows."""
    if "int8" in precisions:
        raise ConfigError(
            "aif's INT8 graphs are made for processors (unsigned activations with zero points); TensorRT "
            "takes symmetric INT8 only.",
            "Build engines in FP16: --precision fp16",
        )
    for precision in precisions:
        if precision not in BUILDABLE:
            raise ConfigError(f"There are no engines of {precision!r}.", f"Known: {', '.join(BUILDABLE)}.")


def engine_name(part: Part, precision: str, machine: Machine) -> str:
    """The file name of an engine: engines for several machines may lie side by side."""
    card = f"sm{machine.capability.replace('.', '')}"
    return f"{part}.{precision}.trt{machine.tensorrt}.{card}.{machine.platform}{SUFFIX}"


def brings_engines(bundle: Bundle) -> bool:
    """Whether engines came with the bundle."""
    with open_store(bundle.path) as store:
        return any(name.startswith(FOLDER) for name in store.names())


def read_engines(place: Path, folder: str = "", brought: bool = False) -> EngineListing:
    """The engines in a folder, or in the `folder` of a bundle, by the sidecars beside them; none is read."""
    engines: list[Stored] = []
    faults: list[str] = []
    with open_store(place) as store:
        names = {n for n in store.names() if n.startswith(folder) and "/" not in n.removeprefix(folder)}
        for name in sorted(names):
            if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) + ".json" not in names:
                faults.append(f"{place}: {name} has no sidecar (.json), so nobody knows where it fits")
            if not name.endswith(".json"):
                continue
            try:
                sidecar = parse_sidecar(store.read(name, MAX_SIDECAR_BYTES), f"{place}: {name}")
            except BundleError as error:
                faults.append(error.message)
                continue
            member = folder + sidecar.file
            engines.append(Stored(sidecar, f"{place}: {member}", partial(_read, place, member), brought))
    return EngineListing(tuple(engines), tuple(faults))


def find_engines(bundle: Bundle, brought: bool = True) -> EngineListing:
    """Look through the cache and, if wanted, what the bundle brought; nothing of TensorRT is loaded.

    An engine may bring a program of its own and is run by whoever loads it, so those that came with a bundle
    are only for users who have asked for them.
    """
    found = [read_engines(bundle.path, FOLDER, brought=True)] if brought else []
    known = {sha for name in bundle.manifest.graphs for sha in graph_hashes(bundle, name).values()}
    found += [read_engines(place) for place in sorted(map(_cached, known)) if place.is_dir()]
    return EngineListing(
        tuple(engine for each in found for engine in each.engines),
        tuple(fault for each in found for fault in each.faults),
    )


def graph_hashes(bundle: Bundle, precision: str) -> Mapping[Part, str]:
    """The SHA-256 of the two graphs of a precision that the bundle has."""
    pair = bundle.manifest.graphs[precision]
    return {part: getattr(pair, part).sha256 for part in PARTS}


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
        found = read_engines(Bundle.open(place).path, FOLDER).engines
    except BundleError:
        return {}
    pairs = manifest.graphs.values()
    hashes = {each.sha256 for pair in pairs for each in (pair.encoder, pair.decoder)}
    new = {sidecar.file for sidecar in made}
    kept = []
    for each in found:
        if each.sidecar.onnx_sha256 in hashes and each.sidecar.file not in new:
            with suppress(BundleError):
                kept.append((each.sidecar, each.verified()))
    return bundle_files(kept)


def _cached(onnx_sha256: str) -> Path:
    return cache_folder() / "engines" / onnx_sha256[:32]


def _read(place: Path, member: str) -> bytes:
    with open_store(place) as store:
        return store.read(member)
