"""Where engines lie, in a bundle or in the user's cache, and which of them fits this machine."""

from __future__ import annotations

import hashlib
import os
import shlex
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aif.runtime.bundle.bundle import EMBEDDED_BUNDLE, Bundle
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.bundle.storage import open_store
from aif.runtime.errors import AifError, BundleError
from aif.runtime.fetch import cache_folder
from aif.runtime.tensorrt.sidecar import PARTS, SUFFIX, Machine, Part, Sidecar, misfits, parse_sidecar

FOLDER = "engines/"
MAX_SIDECAR_BYTES = 1 << 20
BUILDABLE = ("fp16", "fp32")
"""The precisions that engines are built in, the one that is taken unasked first."""


@dataclass(frozen=True)
class Stored:
    """An engine that is there.

    Attributes:
        sidecar: what it says of itself.
        where: for messages.
        read: gives its bytes, not checked yet.
        brought: it came with the bundle; else the user's own cache has it.
    """

    sidecar: Sidecar
    where: str
    read: Callable[[], bytes]
    brought: bool

    def verified(self) -> bytes:
        """The engine.

        Raises:
            BundleError: it is missing, cut short, or not the one that its sidecar describes.
        """
        data = self.read()
        if len(data) != self.sidecar.bytes or hashlib.sha256(data).hexdigest() != self.sidecar.sha256:
            raise BundleError(f"{self.where} is not the engine that its sidecar describes.")
        return data


@dataclass(frozen=True)
class EngineListing:
    """All engines for a bundle, those in the bundle first, and what is wrong with what could not be read."""

    engines: tuple[Stored, ...]
    faults: tuple[str, ...]


def engine_name(part: Part, precision: str, machine: Machine) -> str:
    """The file name of an engine: engines for several machines may lie side by side."""
    card = f"sm{machine.capability.replace('.', '')}"
    return f"{part}.{precision}.trt{machine.tensorrt}.{card}.{machine.platform}{SUFFIX}"


def brings_engines(bundle: Bundle) -> bool:
    """Whether engines came with the bundle."""
    with open_store(bundle.path) as store:
        return any(name.startswith(FOLDER) for name in store.names())


def find_engines(bundle: Bundle, brought: bool = True) -> EngineListing:
    """Look through the bundle's `engines/` and the cache; no engine is read, and nothing of TensorRT loaded.

    Args:
        bundle: whose graphs the engines are of.
        brought: look into the bundle, too. An engine may bring a program of its own and is run by whoever
            loads it, so those that came with a bundle are only for users who have asked for them.

    Raises:
        BundleError: the bundle cannot be read any more.
    """
    engines: list[Stored] = []
    faults: list[str] = []
    with open_store(bundle.path) as store:
        names = set(store.names()) if brought else set()
        for name in sorted(names):
            alone = name.startswith(FOLDER) and name.endswith(SUFFIX)
            if alone and name.removesuffix(SUFFIX) + ".json" not in names:
                faults.append(f"{bundle.path}: {name} has no sidecar (.json), so nobody knows where it fits")
            if not (name.startswith(FOLDER) and name.endswith(".json")):
                continue
            try:
                sidecar = parse_sidecar(store.read(name, MAX_SIDECAR_BYTES), f"{bundle.path}: {name}")
            except BundleError as error:
                faults.append(error.message)
                continue
            member = FOLDER + sidecar.file
            engines.append(
                Stored(sidecar, f"{bundle.path}: {member}", partial(_read, bundle.path, member), True)
            )
    for folder in sorted(set(map(_cached, _hashes(bundle)))):
        for path in sorted(folder.glob("*.json")):
            try:
                sidecar = parse_sidecar(path.read_bytes(), str(path))
            except (BundleError, OSError) as error:
                faults.append(getattr(error, "message", str(error)))
                continue
            place = path.parent / sidecar.file
            engines.append(Stored(sidecar, str(place), partial(_read_file, place), False))
    return EngineListing(tuple(engines), tuple(faults))


def choose_engine(
    listing: EngineListing, part: Part, precision: str, machine: Machine, onnx_sha256: str
) -> tuple[Stored, bytes] | list[str]:
    """The first engine that fits, with its bytes, or else why each of them does not."""
    reasons = []
    for stored in listing.engines:
        if (stored.sidecar.part, stored.sidecar.precision) != (part, precision):
            continue
        wrong = misfits(stored.sidecar, machine, onnx_sha256)
        if not wrong:
            try:
                return stored, stored.verified()
            except BundleError as error:
                wrong = [error.message]
        reasons.append(f"{stored.where}: {', and '.join(wrong)}")
    return reasons


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


def save_to_cache(made: Iterable[tuple[Sidecar, bytes]]) -> tuple[Path, ...]:
    """Keep engines in the user's cache, by their graph's hash; each sidecar comes last.

    Raises:
        AifError: the cache cannot be written.
    """
    places = []
    for sidecar, engine in made:
        place = _cached(sidecar.onnx_sha256) / sidecar.file
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(place, engine)
            _write(place.with_suffix(".json"), sidecar.to_json().encode())
        except OSError as error:
            raise AifError(
                f"The engine cannot be kept at {place} ({error.strerror or error}).",
                "Make room there, or name another folder in AIF_CACHE.",
            ) from error
        places.append(place)
    return tuple(places)


def bundle_files(made: Iterable[tuple[Sidecar, bytes]]) -> dict[str, bytes]:
    """Engines and sidecars as files of a bundle."""
    files: dict[str, bytes] = {}
    for sidecar, engine in made:
        files[FOLDER + sidecar.file] = engine
        files[FOLDER + sidecar.file.removesuffix(SUFFIX) + ".json"] = sidecar.to_json().encode()
    return files


def engines_kept(place: Path, manifest: Manifest, made: Iterable[Sidecar] = ()) -> dict[str, bytes]:
    """Engines in the bundle at `place`, with their sidecars, that a bundle of `manifest` may go on holding.

    Those of graphs that it does not list go, as do damaged ones, those without a sidecar and those that were
    `made` anew. Empty where there is no sound bundle.
    """
    try:
        found = [each for each in find_engines(Bundle.open(place)).engines if each.brought]
    except BundleError:
        return {}
    pairs = manifest.graphs.values()
    hashes = {each.sha256 for pair in pairs for each in (pair.encoder, pair.decoder)}
    new, kept = set(map(_built_for, made)), []
    for each in found:
        if each.sidecar.onnx_sha256 in hashes and _built_for(each.sidecar) not in new:
            with suppress(BundleError):
                kept.append((each.sidecar, each.verified()))
    return bundle_files(kept)


def graph_hashes(bundle: Bundle, precision: str) -> Mapping[Part, str]:
    """The SHA-256 of the two graphs of a precision that the bundle has."""
    pair = bundle.manifest.graphs[precision]
    return {part: (pair.encoder if part == "encoder" else pair.decoder).sha256 for part in PARTS}


def _built_for(sidecar: Sidecar) -> tuple[str, ...]:
    """What there is one engine for: a part in a precision on a machine."""
    return sidecar.part, sidecar.precision, sidecar.tensorrt, sidecar.capability, sidecar.platform


def _hashes(bundle: Bundle) -> Sequence[str]:
    return [sha for name in bundle.manifest.graphs for sha in graph_hashes(bundle, name).values()]


def _cached(onnx_sha256: str) -> Path:
    return cache_folder() / "engines" / onnx_sha256[:32]


def _write(place: Path, data: bytes) -> None:
    beside = place.with_name(f".{place.name}.{uuid.uuid4().hex}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def _read(bundle: Path, member: str) -> bytes:
    with open_store(bundle) as store:
        return store.read(member)


def _read_file(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError as error:
        raise BundleError(f"{place} cannot be read: {error.strerror or error}.") from error
