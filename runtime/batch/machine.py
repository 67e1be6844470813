"""Where and with what an editor runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from aif.runtime.errors import ConfigError
from aif.runtime.machine import DetectorName, Provider

if TYPE_CHECKING:
    from aif.runtime.bundle.bundle import Bundle
    from aif.runtime.editing.editor import Editor


@dataclass(frozen=True)
class Machine:
    """The options of every command that edits, as `aif-edit --help` has them; `check` looks at the words."""

    provider: str = "auto"
    detector: str = "auto"
    yunet: Path | None = None
    threads: int | None = None
    precision: str | None = None
    build_engines: bool = False

    def check(self) -> None:
        """Raise a ConfigError for what is unknown, out of range or contradictory."""
        for option, value, known in (
            ("--detector", self.detector, get_args(DetectorName)),
            ("--provider", self.provider, get_args(Provider)),
        ):
            if value not in known:
                raise ConfigError(f"{option} cannot be {value!r}.", f"Known: {', '.join(known)}.")
        if self.yunet is not None and self.detector in ("aif", "haar"):
            raise ConfigError(
                f"--yunet and --detector {self.detector} contradict each other.", "Leave one of them out."
            )
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"--threads must be at least 1, not {self.threads}.")
        if self.build_engines and self.provider not in ("auto", "tensorrt"):
            raise ConfigError(
                f"--build-engines is for TensorRT, not for {self.provider}.",
                "Write --provider tensorrt, or leave it out.",
            )

    def load(self, bundle: Bundle) -> Editor:
        """The editor; errors as `Editor.load`."""
        from aif.runtime.editing.editor import Editor

        provider, detector = cast(Provider, self.provider), cast(DetectorName, self.detector)
        return Editor.load(bundle, provider, detector, self.threads, self.precision, yunet=self.yunet)
