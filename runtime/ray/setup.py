"""What every worker of a run needs to know, decided once; and its editor made from it."""

from __future__ import annotations

import hashlib
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import cv2

from aif.runtime.batch.machine import Machine
from aif.runtime.batch.plan import EditPlan
from aif.runtime.bundle.bundle import Bundle
from aif.runtime.editing.editor import Editor
from aif.runtime.errors import BundleError
from aif.runtime.faces.detect import resolve_detector
from aif.runtime.machine import DetectorName


@dataclass(frozen=True)
class Setup:
    """Of all workers.

    Attributes:
        machine: the detector is decided; `threads` is what each worker has.
        bundle: path of the bundle, on every machine; None = the embedded one.
        fingerprint: SHA-256 of its manifest, which holds those of its graphs.
        on_gpus: each worker has a GPU, and OpenCV as many threads as the machine has cores.
    """

    plan: EditPlan
    machine: Machine
    bundle: Path | None
    fingerprint: str
    on_gpus: bool = False

    @classmethod
    def of(cls, plan: EditPlan, machine: Machine, bundle: Bundle, path: Path | None, here: bool) -> Setup:
        """Decide what was left open: the detector; the precision where cards are not known beforehand.

        here: the workers run on this machine; else "auto" says nothing of theirs, and means FP32.
        """
        name, yunet = resolve_detector(cast(DetectorName, machine.detector), bundle, machine.yunet)
        precision, known = machine.precision, bundle.manifest.graphs
        if precision is not None:
            bundle.check_precision(precision)
        if precision is None and machine.provider == "auto" and not here:
            precision = "fp32" if "fp32" in known else next(iter(known))
        decided = replace(
            machine,
            detector=name,
            yunet=None if yunet is None else yunet.resolve(),
            precision=precision,
            threads=machine.threads or 1,
        )
        return cls(plan, decided, None if path is None else path.resolve(), _fingerprint(bundle))

    def load(self) -> Editor:
        """The editor of one worker; a BundleError where the bundle is another one on this machine."""
        bundle = Bundle.open(self.bundle)
        if _fingerprint(bundle) != self.fingerprint:
            here = f"The bundle {bundle.path} on {socket.gethostname()}"
            raise BundleError(
                f"{here} is not the one that the job started with.",
                "Copy the same bundle to every machine, and install the same aif.",
            )
        if not self.on_gpus:
            cv2.setNumThreads(self.machine.threads or 1)
        return self.machine.load(bundle)


def _fingerprint(bundle: Bundle) -> str:
    return hashlib.sha256(bundle.manifest.to_json().encode()).hexdigest()
