"""Errors meant for people: what went wrong, and what to do about it."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

# User and password of an address, also of one that became a Path (`rtsp:/...`); a password may hold / and @.
_LOGIN = re.compile(r"(\w[\w+.-]+:/{1,3})(?:(?![^\s/@]*:\d+/)[^\s/@:]*:\S*@|[^\s/@:]+@)")


_QUERY = re.compile(r"(\w[\w+.-]+:/{1,3}[^\s?#]*[?#])\S+")


def without_passwords(text: str) -> str:
    """The text with user, password and query hidden in every address: `rtsp://***@camera/stream?***`."""
    return _QUERY.sub(r"\1***", _LOGIN.sub(r"\1***@", text))


class AifError(Exception):
    """Base of every error that a user can mend.

    `message` says what went wrong, `fix` what to do about it (a command, the valid names). The command
    line prints both without a traceback and exits with `exit_code`.
    """

    exit_code = 1

    def __init__(self, message: str, fix: str | None = None) -> None:
        message, fix = without_passwords(message), None if fix is None else without_passwords(fix)
        super().__init__(message if fix is None else f"{message}\n{fix}")
        self.message = message
        self.fix = fix


class ConfigError(AifError):
    """A setting is out of range or does not fit the others."""

    exit_code = 2


class TakenError(ConfigError):
    """Something came to a result's place while it was made; it stays."""

    def __init__(self, place: object) -> None:
        super().__init__(
            f"{place} was made by another program meanwhile; it stays.",
            "Choose another place, or add --overwrite to replace it.",
        )


class BundleError(AifError):
    """A bundle is missing, damaged, tampered with or too new."""


class CheckpointError(AifError):
    """A checkpoint is missing, damaged or of another configuration."""


class DataError(AifError):
    """Training data is missing, damaged or lacks what was asked for."""


class ExportError(AifError):
    """An exported graph does not reproduce the trained network."""


class ImageError(AifError):
    """An image cannot be read or written."""


class UnsupportedImageError(ImageError):
    """The bytes are no picture, or one of a kind that aif does not read."""


class ImageTooLargeError(ImageError):
    """A picture has more pixels than are allowed, or than memory holds."""


class NoFaceError(AifError):
    """No face was found in an image; or `found` of them, but not the wanted one."""

    exit_code = 3

    def __init__(self, message: str, fix: str | None = None, found: int = 0) -> None:
        super().__init__(message, fix)
        self.found = found


class ProviderError(AifError):
    """An ONNX Runtime execution provider was asked for and is not available."""


class TrainingError(AifError):
    """Training stopped because going on would have been pointless."""


class UnknownAttributeError(AifError):
    """An attribute name is not among the known ones."""

    exit_code = 2

    def __init__(self, name: str, known: Iterable[str], where: str) -> None:
        names = list(known)
        super().__init__(f"There is no attribute {name!r} in {where}.", nearest_names(name, names))


_FIXES = {
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ENOSPC: "Make room, or choose another place.",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Choose a place that you may use."),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR), "Choose another place."),
}


def file_error(error: OSError) -> AifError:
    """What the system says of a place that cannot be used, and what to do about it."""
    said = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    return AifError(f"{where}{said}.", _FIXES.get(error.errno or 0))


def first_line(error: Exception) -> str:
    """The first line of what an error says; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def nearest_names(name: str, known: Iterable[str]) -> str:
    """One line naming the closest known names to `name`, or all of them when none is close."""
    names = list(known)
    by_lower = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(by_lower[c] for c in close)}?"
    return f"Known names: {', '.join(names)}." if names else "There are no names to choose from."
