"""What the service allows: how many edits at once, how many wait, how large, how long."""

from __future__ import annotations

from dataclasses import dataclass

# Seconds beyond a request's own time limit for its answer to be sent.
ANSWER_SECONDS = 5

# Seconds for the head of a request to arrive, on a new connection or one that is kept.
HEAD_SECONDS = 10.0

# Seconds that any upload may take, and the bytes a second that it must have brought beyond them.
UPLOAD_GRACE, UPLOAD_RATE = 5.0, 20 << 10

# Where the page lies, if it is served.
PAGE = "/ui"


@dataclass(frozen=True)
class ServeSettings:
    """Limits of the service: threads that edit one picture each, requests that may wait beside, the size of
    pictures (before any pixel is decoded) and files (while they arrive), seconds from the first byte of a
    request to its answer, and names to answer to (None = any).
    """

    workers: int = 1
    queue: int = 16
    max_megapixels: float = 50.0
    max_bytes: int = 20 << 20
    timeout: float = 30.0
    hosts: tuple[str, ...] | None = None
