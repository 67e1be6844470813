"""A file that keeps what it holds when the disk is full, and MP4 files cut back to what plays."""

from __future__ import annotations

import os
from pathlib import Path


class SafeFile:
    """A binary file for writers that cannot be stopped: from the first failure on, nothing reaches it.

    What came before stays as it is, so that a writer's last steps (a header put right, an index at the end)
    cannot spoil it. Not for several threads at once.

    Attributes:
        error: the first failure; None while all is well.
        size: bytes that surely are in the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Create the file.

        Raises:
            OSError: it exists already, or the place cannot be written.
        """
        self._file = Path(path).open("xb", buffering=0)  # noqa: SIM115 - closed by close()
        self._place = 0
        self.error: OSError | None = None
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write at the present place; always says that all was written."""
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                self._file.seek(self._place)
                done = 0
                while done < len(view):  # an unbuffered file may take less than it is given
                    done += self._file.write(view[done:])
                self.size = max(self.size, self._place + len(view))
            except OSError as error:
                self.error = error
        self._place += len(view)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, from the start, from here or from the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        self._place = base + offset
        return self._place

    def tell(self) -> int:
        """The present place."""
        return self._place

    def close(self) -> None:
        """Close it, on the disk for good where that is possible. Calling it twice does no harm."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self.error = self.error or error
        self._file.close()


def trim_mp4(path: str | os.PathLike[str]) -> bool:
    """Cut a fragmented MP4 back to its last whole fragment; whether one with pictures is left.

    Source of the format: ISO/IEC 14496-12, 4.2 (boxes) and 8.8 (movie fragments).
    """
    place = good = 0
    pictures = False
    size = Path(path).stat().st_size
    with Path(path).open("rb+") as file:
        while place + 8 <= size:
            file.seek(place)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8 or place + length > size:
                break
            place += length
            if kind != b"moof":  # which is worth nothing without the pictures after it
                good = place
            pictures = pictures or kind == b"mdat"
        file.truncate(good)
    return pictures
