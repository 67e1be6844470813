"""A model repository on disk: written beside its place and renamed; nothing but its like is overwritten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from aif.export.graphs.files import sha256_of
from aif.runtime.bundle.bundle import put_in_place
from aif.runtime.bundle.manifest import Manifest
from aif.runtime.errors import ConfigError, ExportError

RECORD = "aif_repository.json"
"""Says what was exported, so that the next export knows its own work; Triton reads folders only."""

_ELSEWHERE = "Choose another place with --out, or remove it first."


def write_repository(out: Path, files: Mapping[str, bytes], manifest: Manifest, new: bool = False) -> Path:
    """Write the files of a repository, and a record of them.

    Args:
        out: the folder; an earlier export there is replaced, unless somebody has changed it.
        new: an earlier export stays, too.

    Raises:
        TakenError: something is there that stays.
        ExportError: `out` is or holds something else, or cannot be written.
    """
    place = out.resolve()
    if not new:
        _refuse_to_overwrite(place)
    record = {
        "schema_version": 1,
        "bundle": manifest.name,
        "bundle_version": manifest.version,
        "files": {name: sha256_of(data) for name, data in sorted(files.items())},
    }
    try:
        contents = {**files, RECORD: json.dumps(record, indent=2).encode() + b"\n"}
        put_in_place(place, contents, as_folder=True, new=new)
    except OSError as error:
        raise ExportError(
            f"Cannot write {place}: {error.strerror or error}.", "Choose a place you may write to."
        ) from error
    return place


def _refuse_to_overwrite(place: Path) -> None:
    """Raise unless `place` is free, empty, or holds an earlier export as it was written."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    try:
        known = dict(json.loads((place / RECORD).read_bytes())["files"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{place} exists and is no model repository of aif's; not overwritten.", _ELSEWHERE
        ) from error
    for file in sorted(file for file in place.rglob("*") if not file.is_dir()):
        name = file.relative_to(place).as_posix()
        if name == RECORD:
            continue
        if name not in known:
            raise ConfigError(
                f"{place} also holds {name}, which aif did not write; not overwritten.", _ELSEWHERE
            )
        try:
            same = sha256_of(file.read_bytes()) == known[name]
        except OSError as error:
            raise ExportError(f"{file} cannot be read: {error.strerror or error}.", _ELSEWHERE) from error
        if not same:
            raise ConfigError(
                f"{file} was changed after it had been exported; not overwritten.",
                f"Keep a copy of your changes. {_ELSEWHERE}",
            )
