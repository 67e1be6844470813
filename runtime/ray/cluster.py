"""A Ray cluster to work on: one that is there, or one of our own that turns others away."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from aif.runtime.errors import AifError, first_line
from aif.runtime.machine import environment

LOCAL_TRIES = 3
"""Ray gives its processes 30 seconds to start, which is too little on a busy machine."""

# Nothing is sent to Ray's makers; cards are left to those who ask for them; Ray's own log has the rest.
_QUIET = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextlib.contextmanager
def cluster(processors: int) -> Iterator[Mapping[str, float]]:
    """Join the cluster that RAY_ADDRESS names, or start one of so many processors; resources by name."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    address = os.environ.get("RAY_ADDRESS") or "local"
    ours = {}
    if address == "local":
        # Ray listens on the machine's outward address: have it turn away who lacks a token made for this run.
        # Its processes get the token in their environment, which only this user can read.
        ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with environment(**ours):
        yield from _joined(address, processors)


def _joined(address: str, processors: int) -> Iterator[Mapping[str, float]]:
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options |= {"include_dashboard": False, "num_cpus": max(processors, os.cpu_count() or 1)}
    for left in reversed(range(LOCAL_TRIES if address == "local" else 1)):
        try:
            ray.init(address=address, **options)
            break
        except Exception as error:  # connection errors, Ray's own, a port that is taken
            ray.shutdown()
            if not left:
                raise _unreachable(address, error) from error
    try:
        yield ray.cluster_resources()  # type: ignore[no-untyped-call]
    finally:
        ray.shutdown()


def _unreachable(address: str, error: Exception) -> AifError:
    if address == "local":
        return AifError(
            f"Ray cannot be started on this machine: {first_line(error)}",
            "If the machine is busy, try again; Ray's own log is in the newest folder of /tmp/ray.",
        )
    return AifError(
        f"The Ray cluster {address!r} cannot be reached: {first_line(error)}",
        "Start it (ray start --head), check RAY_ADDRESS, or unset it for a cluster on this machine.",
    )


def pool_size(resources: Mapping[str, float], workers: int | None, threads: int, on_gpus: bool) -> int:
    """How many workers to start: as asked for, else one a GPU, or as many as the processors feed.

    An AifError where there is no room for them: Ray would wait for more for ever.
    """
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if on_gpus and not gpus:
        raise AifError(
            "There is no GPU in the Ray cluster.", "Use --provider cpu, or add a machine with one."
        )
    most = gpus if on_gpus else cpus // threads
    if not 1 <= (workers or 1) <= most:
        each = "a GPU" if on_gpus else f"{threads} of its {cpus} processors"
        raise AifError(
            f"The Ray cluster has no room for {workers or 1} workers with {each} each.",
            f"It has room for {most}: --workers {most}" if most else "Use fewer --threads.",
        )
    return workers or most
