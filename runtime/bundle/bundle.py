"""Open and write bundles: a folder, or the same as one zip file, verified before any graph is used."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from aif.runtime.bundle.manifest import MANIFEST_NAME, FileInfo, Manifest, check_member_name, parse_manifest
from aif.runtime.bundle.storage import COPY_AGAIN, Store, open_store
from aif.runtime.errors import BundleError
from aif.runtime.files import check_reachable, replacing, replacing_folder, write_bytes

MAX_MANIFEST_BYTES = 4 << 20

EMBEDDED_BUNDLE = Path(__file__).parent / "default.aif"


class Bundle:
    """A verified bundle. Nothing is executed or opened as a graph while loading.

    Thread-safe: it never changes, and holds no file open.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Bundle:
        """Open the bundle at `path` (a folder or a zip of any suffix), or the embedded one for None.

        The schema's version, every path and the SHA-256 of every listed file are checked here.

        Raises:
            BundleError: missing, damaged, truncated, tampered with, too new, or reaching out of itself.
        """
        place = EMBEDDED_BUNDLE if path is None else Path(path)
        if not place.exists():
            raise BundleError(
                f"There is no bundle at {place}.",
                "Name another with --bundle PATH (in Python: Editor.load(PATH)); aif-export writes bundles.",
            )
        with open_store(place) as store:
            manifest = _read_manifest(store)
            if not manifest.graphs:
                raise BundleError(f"{place}: {MANIFEST_NAME} lists no graphs.", COPY_AGAIN)
            for info in manifest.files():
                _verified(store, info)
        return cls(place, manifest)

    def check_precision(self, precision: str) -> None:
        """Raise a BundleError unless the bundle has graphs of this precision."""
        if precision not in self.manifest.graphs:
            raise BundleError(
                f"{self.path} has no graphs of precision {precision!r}.",
                f"It has: {', '.join(self.manifest.graphs)}. "
                "More are added with: aif-export BUNDLE -o OUT --precision fp16,int8 --data FACES",
            )

    def graph_bytes(self, precision: str, part: Literal["encoder", "decoder"]) -> bytes:
        """The ONNX bytes of one graph, verified once more while reading.

        Raises:
            BundleError: the precision is not in the bundle, or the file has changed since it was opened.
        """
        self.check_precision(precision)
        return self._read(getattr(self.manifest.graphs[precision], part))

    def landmarks_bytes(self) -> bytes:
        """The ONNX bytes of the landmark network; errors as `matte_bytes`."""
        return self._read(
            self.manifest.landmarks,
            "landmark network, which the Haar detector needs",
            "Use the YuNet detector (aif fetch yunet), or another bundle.",
        )

    def matte_bytes(self) -> bytes:
        """The ONNX bytes of the network that finds the hair.

        Raises:
            BundleError: the bundle brings none, or the file has changed since it was opened.
        """
        return self._read(
            self.manifest.matte,
            "network that finds the hair, which edits of hair colour need",
            "Use another bundle, or export with one: aif-export RUN -o OUT --matte FILE",
        )

    def detector_bytes(self) -> bytes:
        """The ONNX bytes of the network that finds faces; errors as `matte_bytes`."""
        return self._read(self.manifest.detector, "face detector", "Use another one: --detector auto.")

    def skin_bytes(self) -> bytes:
        """Bare skin and folds of age (`aif.runtime.editing.shape.bare_skin`); errors as `matte_bytes`."""
        return self._read(self.manifest.skin, "skin without beards", "Export it anew: aif-export RUN -o OUT")

    def _read(self, info: FileInfo | None, what: str = "", fix: str = "") -> bytes:
        if info is None:
            raise BundleError(f"{self.path} brings no {what}.", fix)
        with open_store(self.path) as store:
            return _verified(store, info)


def write_bundle(
    path: str | os.PathLike[str], manifest: Manifest, files: Mapping[str, bytes], new: bool = False
) -> Bundle:
    """Write a bundle and open it again, which verifies it.

    It is written beside its place and renamed, so a bundle is never half there. The zip has no timestamps and
    no compression: equal contents give equal bytes.

    Args:
        path: where to, a zip file or, where it has no suffix or is one, a folder; an earlier bundle there is
            replaced, if not `new`.
        files: name to contents: all that the manifest lists, and further notes or engines (`*.md`, `*.txt`,
            `engines/`).

    Raises:
        TakenError: an earlier bundle came there in the meantime, and this was to be `new`.
        BundleError: something that is no bundle is in the way, a listed file is missing or has another
            hash, or the place cannot be written.
    """
    place = Path(path).resolve()
    _check_contents(place, manifest, files)
    if not new:
        check_place(place)
    as_folder = place.is_dir() or not place.suffix
    contents = {MANIFEST_NAME: manifest.to_json().encode(), **{name: files[name] for name in sorted(files)}}
    try:
        put_in_place(place, contents, as_folder, new)
    except OSError as error:
        raise BundleError(
            f"Cannot write {place}: {error.strerror or error}.", "Choose a place you may write to."
        ) from error
    return Bundle.open(place)


def put_in_place(place: Path, contents: Mapping[str, bytes], as_folder: bool, new: bool = False) -> None:
    """Write a folder of files, or the same as a zip, in the place of what was there.

    Raises:
        TakenError: it is to be `new`, and something is there.
        OSError: the place cannot be written; what was there is still there.
    """
    if as_folder:
        with replacing_folder(place, new) as part:
            for name, data in contents.items():
                write_bytes(part / name, data)
        return
    with replacing(place, new) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)


def _check_contents(place: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Raise unless `files` are all that the manifest lists, with the right hashes, and nothing foreign."""
    for name in files:
        try:
            check_member_name(name)
        except ValueError as error:
            raise BundleError(f"Cannot write {place}: {error}.") from error
        if name == MANIFEST_NAME or not _belongs(name, manifest):
            raise BundleError(f"Cannot write {place}: its manifest does not list {name}.")
    for info in manifest.files():
        if hashlib.sha256(files.get(info.file, b"")).hexdigest() != info.sha256:
            what = "is not the file that the manifest describes" if info.file in files else "was not given"
            raise BundleError(f"Cannot write {place}: {info.file} {what}.")


def _belongs(name: str, manifest: Manifest) -> bool:
    listed = {MANIFEST_NAME, *(info.file for info in manifest.files())}
    note = "/" not in name and name.lower().endswith((".md", ".txt"))
    return name in listed or note or name.startswith("engines/")


def _read_manifest(store: Store) -> Manifest:
    names = store.names()
    if MANIFEST_NAME not in names:
        deeper = [name for name in names if name.endswith(f"/{MANIFEST_NAME}")]
        raise BundleError(
            f"{store.path} is no bundle: it has no {MANIFEST_NAME}.",
            f"It lies at {deeper[0]}: pack the folder's contents, not the folder." if deeper else COPY_AGAIN,
        )
    return parse_manifest(store.read(MANIFEST_NAME, MAX_MANIFEST_BYTES), str(store.path))


def _verified(store: Store, info: FileInfo) -> bytes:
    data = store.read(info.file)
    if hashlib.sha256(data).hexdigest() != info.sha256:
        raise BundleError(
            f"{store.path}: {info.file} is not the file that {MANIFEST_NAME} describes (SHA-256 differs): "
            "it is damaged or was tampered with.",
            COPY_AGAIN,
        )
    return data


def check_place(path: str | os.PathLike[str]) -> None:
    """Find out whether a bundle may be written to `path`; for callers who spend minutes on it first.

    Raises:
        BundleError: it holds anything but a bundle, so that a mistyped path destroys nothing.
        AifError: what lies above it is no folder, or none that may be written to.
    """
    place = Path(path).resolve()
    check_reachable(place)
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    wrong = "exists and is not a bundle"
    with contextlib.suppress(BundleError), open_store(place) as store:
        manifest = _read_manifest(store)
        foreign = [name for name in store.names() if not _belongs(name, manifest)]
        if not foreign:
            return
        wrong = f"also holds {foreign[0]}, no part of a bundle"
    raise BundleError(f"{place} {wrong}; not overwritten.", "Choose another path, or remove it first.")
