"""A run on a Ray cluster: read, edit and write with Ray Data, and report what failed."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aif.runtime.errors import AifError, ConfigError
from aif.runtime.ray.cluster import cluster, pool_size
from aif.runtime.ray.setup import Setup
from aif.runtime.ray.tasks import Tasks

MOST_BLOCKS = 2000
"""Up to so many pictures each is a block of its own: what ends its worker takes no other along."""

RETRIES = 2
"""How often a block is done again whose worker died."""

_LOST = (
    f"It could not be read, or ended its worker {RETRIES + 1} times; Ray's own log, in the newest folder of "
    "/tmp/ray, says which."
)


@dataclass(frozen=True)
class JobResult:
    """How a run went; `failures` has "input", "status" and "error" of each picture without a result."""

    statuses: tuple[str, ...]
    failures: tuple[Mapping[str, Any], ...]


def run_job(tasks: Tasks, setup: Setup, workers: int | None, progress: bool = False) -> JobResult:
    """Edit the pictures on the cluster that RAY_ADDRESS names, or one that is started on this machine.

    What failed is written to `tasks.report`, a line of JSON a picture; that of an earlier run is replaced, or
    removed where nothing failed. An AifError where the cluster cannot be reached, has no room, or is lost.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers must be at least 1, not {workers}.")
    records: Mapping[str, Mapping[str, Any]] = {}
    if tasks.outputs:
        threads, provider = setup.machine.threads or 1, setup.machine.provider
        with cluster((workers or 0) * threads) as resources:
            on_gpus = provider in ("cuda", "tensorrt", "ort-tensorrt") or (
                provider == "auto" and bool(resources.get("GPU"))
            )
            count = pool_size(resources, workers, threads, on_gpus)
            records = _run(tasks, replace(setup, on_gpus=on_gpus), min(count, len(tasks.outputs)), progress)
    lost = {"status": "failed", "error": _LOST}
    every = [records.get(path) or {"input": tasks.source.name(path), **lost} for path in tasks.outputs]
    failures = tuple(record for record in every if "error" in record)
    if failures:
        lines = [json.dumps(record) for record in failures]
        tasks.destination.put(tasks.report, "".join(f"{line}\n" for line in lines).encode())
    else:
        tasks.destination.remove(tasks.report)
    return JobResult(tuple(str(record["status"]) for record in every), failures)


def _run(tasks: Tasks, setup: Setup, workers: int, progress: bool) -> Mapping[str, Mapping[str, Any]]:
    """The records by path. A cluster has to be joined; pictures without an outcome have no record."""
    import ray.data
    import ray.exceptions

    from aif.runtime.ray.worker import EditWorker, ResultSink

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = progress
    context.max_errored_blocks = -1  # the others go on
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    source, paths = tasks.source, list(tasks.outputs)
    sink = ResultSink(tasks.destination.name(tasks.destination.path), tasks.new)
    processors = None if setup.on_gpus else setup.machine.threads
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # retries have no other option yet
            ray.data.read_binary_files(
                paths,
                filesystem=source.fs,
                include_paths=True,
                num_cpus=0,  # the workers have them all
                concurrency=workers,
                override_num_blocks=min(len(paths), MOST_BLOCKS),
            ).map_batches(
                EditWorker,
                fn_constructor_args=(setup, source.name(source.path), tasks.outputs),
                batch_size=None,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
                num_cpus=processors,
                num_gpus=1 if setup.on_gpus else None,
                max_task_retries=RETRIES,
            ).write_datasink(sink, ray_remote_args={"num_cpus": 0}, concurrency=workers)
    except ray.exceptions.RayError as error:
        raise AifError(
            f"The Ray cluster gave up: {str(error).strip().partition(os.linesep)[0]}",
            "The same command goes on where it was. aif has to be installed on every machine of the cluster.",
        ) from error
    return sink.records
