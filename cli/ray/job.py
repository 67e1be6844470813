"""`aif edit --engine ray SRC DST`: many pictures on many machines, from folders or object stores."""

from __future__ import annotations

import inspect
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aif.cli import console
from aif.runtime.errors import AifError, ConfigError, NoFaceError

if TYPE_CHECKING:
    from aif.cli.edit.run import EditPlan
    from aif.cli.ray.manifest import Record
    from aif.cli.ray.plan import RayPlan
    from aif.cli.ray.worker import Setup

# What it honours, by the parameters of `aif.cli.edit.command.edit`; all other options are refused.
_HONOURED = {
    *("inputs", "settings", "out", "bundle", "mode", "faces", "detector", "yunet", "provider", "threads"),
    *("precision", "compare", "sweep", "steps", "recursive", "overwrite", "copy_unedited", "kind", "quality"),
    *("max_megapixels", "engine", "workers", "verbose", "debug", "version"),
}
_OPTION = {"settings": "--set", "kind": "--format", "as_json": "--json", "keep_going": "--fail-fast"}
_FOR_ONE_MACHINE = "Leave it out, or leave out --engine ray."


@dataclass(frozen=True)
class Choices:
    """The options that say what to do and where, all found to be good."""

    source: str
    destination: str
    recursive: bool
    overwrite: bool
    workers: int | None


def edit_ray(command: Callable[..., Any], given: Mapping[str, Any]) -> int:
    """Run the command's options on a Ray cluster; the exit code, as `aif edit` has it.

    Args:
        command: the function whose parameters the options are.
        given: their values.

    Raises:
        ConfigError: an option that makes no sense here, or at odds with another.
        AifError: nothing to edit, or the cluster cannot be reached.
    """
    from aif.cli.ray.plan import plan_run
    from aif.runtime.editing.options import check_options

    if given["engine"] != "ray":
        engine = given["engine"]
        unknown = f"There is no engine {engine!r}."
        raise ConfigError(
            "--workers is for --engine ray." if engine == "local" else unknown, "Known: --engine local, ray."
        )
    _refuse_others(command, given)
    choices = _choices(given)
    check_options(
        edits=bool(given["settings"]) or given["sweep"] is not None,
        looks=False,
        to_stdout=False,
        yunet=given["yunet"] is not None,
        **{k: given[k] for k in ("compare", "sweep", "detector", "provider", "threads", "quality")},
    )
    edit_plan, setup = _setup(given, choices)
    plan = plan_run(choices, edit_plan, setup)
    if plan.left_out:
        console.error_console().print(
            f"{plan.left_out} videos are left out: --engine ray edits pictures.", markup=False
        )
    records = [*plan.known, *_run(plan, choices, given["provider"])]
    return _conclude(plan, records)


def _refuse_others(command: Callable[..., Any], given: Mapping[str, Any]) -> None:
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in _HONOURED and given[name] != parameter.default:
            option = _OPTION.get(name, f"--{name.replace('_', '-')}")
            raise ConfigError(f"{option} makes no sense with --engine ray.", _FOR_ONE_MACHINE)


def _choices(given: Mapping[str, Any]) -> Choices:
    words = [*given["inputs"], *([] if given["out"] is None else [given["out"]])]
    if len(words) != 2 or not given["inputs"]:
        raise ConfigError(
            f"--engine ray takes one source and one destination, not {len(words)} places.",
            "Write: aif-edit --engine ray SRC DST --set Smiling=1 (folders, or s3://bucket/folder ...)",
        )
    if "-" in words or words[0] == "demo":
        raise ConfigError("--engine ray edits files, no streams and no demo.", _FOR_ONE_MACHINE)
    if given["workers"] is not None and given["workers"] < 1:
        raise ConfigError(f"--workers must be at least 1, not {given['workers']}.")
    source, destination = words
    return Choices(source, destination, given["recursive"], given["overwrite"], given["workers"])


def _setup(given: Mapping[str, Any], choices: Choices) -> tuple[EditPlan, Setup]:
    """What to do with each picture, and what every worker needs to know but for the run's name and place."""
    from aif.cli.edit.report import announce
    from aif.cli.edit.run import EditPlan
    from aif.cli.ray.settings import settings_hash, settle
    from aif.cli.ray.worker import Setup, fingerprint
    from aif.runtime.bundle.bundle import Bundle
    from aif.runtime.editing.options import modes_of, parse_faces, parse_mode, parse_settings, sweep_values
    from aif.runtime.image.io import format_for

    bundle = Bundle.open(given["bundle"])
    known, where = bundle.manifest.attributes, f"the bundle {bundle.manifest.name}"
    values = parse_settings(given["settings"], known, where)
    name, kind = given["sweep"], given["kind"]
    strip = None if name is None else (name, sweep_values(name, given["steps"], known, where, values))
    announce(values if name is None else {**values, name: 1.0}, known)
    plan = EditPlan(
        settings=values,
        faces=parse_faces(given["faces"]),
        mode=parse_mode(given["mode"], modes_of(bundle.manifest)),
        sweep=strip,
        compare=given["compare"],
        kind=None if kind is None else format_for(kind),
        quality=given["quality"],
        max_megapixels=given["max_megapixels"] or None,
        copy_unedited=given["copy_unedited"],
    )
    means = settle(
        bundle,
        **{name: given[name] for name in ("provider", "detector", "yunet", "precision")},
        here=os.environ.get("RAY_ADDRESS", "local") in ("", "local"),
    )
    setup = Setup(
        source=choices.source,
        destination=choices.destination,
        root="",
        run="",
        bundle=None if given["bundle"] is None else given["bundle"].resolve(),
        fingerprint=fingerprint(bundle),
        settings=settings_hash(plan, fingerprint(bundle), means),
        plan=plan,
        provider=given["provider"],
        detector=means.detector,
        yunet=means.yunet,
        threads=given["threads"] or 1,
        precision=means.precision,
        yunet_sha256=means.yunet_sha256,
    )
    return plan, setup


def _run(plan: RayPlan, choices: Choices, provider: str) -> list[Record]:
    """Do what is to be done; failures are told as they come."""
    if not plan.tasks:
        return []
    from aif.cli.ray.cluster import cluster, pool_size, run_tasks

    plan.begin()
    records = []
    wanted = (choices.workers or 0) * plan.setup.threads
    with cluster(wanted) as resources, console.progress_bar("Editing") as progress:
        on_gpus = provider in ("cuda", "tensorrt", "ort-tensorrt") or (
            provider == "auto" and bool(resources.get("GPU"))
        )
        workers = pool_size(resources, choices.workers, plan.setup.threads, on_gpus)
        progress(0, len(plan.tasks))
        for record in run_tasks(plan.setup, plan.tasks, workers, on_gpus):
            records.append(record)
            if record.error is not None:
                console.show_error(AifError(_told(record)))
            progress(len(records), len(plan.tasks))
    return records


def _told(record: Record) -> str:
    error = record.error or ""
    return error if record.input in error else f"{record.input}: {error}"


def _conclude(plan: RayPlan, records: Sequence[Record]) -> int:
    """Say how it went; 0, 3 where all failures were missing faces, else 1."""
    counts = Counter(record.status for record in records)
    words = {"edited": "edited", "copied": "copied without a face", "no_face": "without a face"}
    words["failed"] = "failed"
    told = [f"{counts[status]} {text}" for status, text in words.items() if counts[status]]
    before = f" ({len(plan.known)} of them by an earlier run)" if plan.known else ""
    console.notice(f"{', '.join(told)}{before}; {plan.manifest_name}")
    if lost := len(plan.known) + len(plan.tasks) - len(records):
        raise AifError(f"{lost} pictures have no outcome.", "The same command goes on where it was.")
    if counts["failed"]:
        return 1
    return NoFaceError.exit_code if counts["no_face"] else 0
