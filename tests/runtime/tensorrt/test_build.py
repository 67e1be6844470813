"""What Polygraphy, the real one, is made to ask of TensorRT; every error told; the timing cache's lock."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from aif.runtime.bundle.bundle import Bundle
from aif.runtime.errors import AifError, ConfigError
from aif.runtime.tensorrt.build import BuildOptions, build_engine, parse_batch, parse_size, timing_cache_path
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.sidecar import BatchProfile

INPUTS = ["z", "y", "feature_0"]


def build(bundle: Bundle, options: BuildOptions | None = None, inputs: list[str] | None = None) -> bytes:
    graph = bundle.graph_bytes("fp32", "decoder")
    return build_engine(load_library(), graph, inputs or INPUTS, options or BuildOptions())


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (BuildOptions(), {}),
        (BuildOptions(workspace=1 << 30), {"limits": {0: 1 << 30}}),
        (BuildOptions(version_compatible=True), {"flags": {"VERSION_COMPATIBLE"}}),
        (BuildOptions(hardware_compatible=True), {"level": "AMPERE_PLUS"}),
        (
            BuildOptions(profile=BatchProfile(min=4, opt=4, max=4)),
            {
                "profile": {
                    "z": ((4, 48),) * 3,
                    "y": ((4, 2),) * 3,
                    "feature_0": ((4, 3, 16, 16),) * 3,
                }
            },
        ),
    ],
)
@pytest.mark.parametrize("version", ["10.13.3.9", "11.4.1.5"])
def test_what_is_asked_for(
    version: str,
    options: BuildOptions,
    asked: dict[str, Any],
    stand_in_card: Any,
    plug_in: Any,
    toy_bundle: Bundle,
) -> None:
    """Strongly typed with no precision flag on both versions; TF32 off; every input with its profile."""
    stand_in_card.version = version
    plug_in(stand_in_card)
    assert build(toy_bundle, options)
    plain = {
        "typed": True,
        "profile": {
            "z": ((1, 48), (2, 48), (16, 48)),
            "y": ((1, 2), (2, 2), (16, 2)),
            "feature_0": ((1, 3, 16, 16), (2, 3, 16, 16), (16, 3, 16, 16)),
        },
        "flags": set(),
        "cleared": {"TF32"},
        "limits": {},
        "level": "NONE",
        "timing": b"",
    }
    assert stand_in_card.builds == [plain | asked]


def test_every_parser_error_is_told(
    stand_in_card: Any, toy_bundle: Bundle, capsys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in_card.errors = ["In node 3 (Resize): UNSUPPORTED_NODE: one", "In node 9 (Clip): INVALID: two"]
    with caplog.at_level(logging.INFO), pytest.raises(AifError, match="cannot be parsed") as caught:
        build(toy_bundle)
    for line in stand_in_card.errors:
        assert caught.value.message.count(line) == 1
    assert not stand_in_card.builds
    assert capsys.readouterr().out == ""  # Polygraphy prints there unless it is told not to


def test_what_the_builder_reports_is_told(stand_in_card: Any, toy_bundle: Bundle) -> None:
    stand_in_card.builder_errors, stand_in_card.refuse_build = ["Error Code 10: no kernel for Conv_3"], True
    with pytest.raises(AifError, match=r"cannot build the engine: .*no kernel for Conv_3"):
        build(toy_bundle)


def test_errors_that_stop_nothing_are_logged(
    stand_in_card: Any, toy_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in_card.builder_errors = ["a tactic was skipped"]
    assert build(toy_bundle)
    assert "TensorRT: a tactic was skipped" in caplog.text


@pytest.mark.parametrize("inputs", [["z", "y"], ["z", "y", "feature_0", "feature_1"], ["image"]])
def test_inputs_other_than_the_manifests(inputs: list[str], stand_in_card: Any, toy_bundle: Bundle) -> None:
    with pytest.raises(AifError, match="takes z, y, feature_0, the manifest says"):
        build(toy_bundle, inputs=inputs)


def test_hardware_compatible_needs_ampere(stand_in_card: Any, plug_in: Any, toy_bundle: Bundle) -> None:
    stand_in_card.capability = "7.5"
    plug_in(stand_in_card)
    with pytest.raises(ConfigError, match=r"8\.0 on"):
        build(toy_bundle, BuildOptions(hardware_compatible=True))


def test_the_timing_cache_grows(stand_in_card: Any, toy_bundle: Bundle, tmp_path: Path) -> None:
    own = BuildOptions(timing_cache=tmp_path / "deep" / "own.cache")
    for options in (BuildOptions(), own):
        build(toy_bundle, options)
        build(toy_bundle, options)
        assert [each["timing"] for each in stand_in_card.builds[-2:]] == [b"", b"measured;"]
    usual = timing_cache_path(BuildOptions(), load_library())
    assert usual.parent == tmp_path / "cache" / "engines" and "trt11.3.0.14.sm90" in usual.name


HOLD = """
import fcntl, sys
with open(sys.argv[1], "wb") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the lock is made in another way there")
def test_the_timing_cache_is_locked(stand_in_card: Any, toy_bundle: Bundle, tmp_path: Path) -> None:
    """A build waits while another process holds the lock, and goes on when that lets go."""
    cache = tmp_path / "timing.cache"
    command = [sys.executable, "-c", HOLD, f"{cache}.lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        thread = threading.Thread(target=build, args=(toy_bundle, BuildOptions(timing_cache=cache)))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and not cache.exists()
        other.communicate()
        thread.join(30)
    assert not thread.is_alive() and cache.read_bytes() == b"measured;"


def test_a_timing_cache_that_cannot_be_kept(stand_in_card: Any, toy_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="timing cache"):
        build(toy_bundle, BuildOptions(timing_cache=tmp_path / "file" / "timing.cache"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1,2,16", (1, 2, 16)), ("4", (4, 4, 4)), (" 1, 1 ,8 ", (1, 1, 8))]
    + [(text, None) for text in ("", "a", "1,2", "3,2,1", "0,1,2", "1,2,3,4", "1,2,9999", "-1", "1.5")],
)
def test_batch(text: str, wanted: tuple[int, int, int] | None) -> None:
    if wanted is None:
        with pytest.raises(ConfigError, match="rising numbers"):
            parse_batch(text)
        return
    found = parse_batch(text)
    assert (found.min, found.opt, found.max) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("512M", 512 << 20), ("2G", 2 << 30), ("2g", 2 << 30), ("64", 64 << 20)]
    + [(text, None) for text in ("", "G", "0", "-1M", "1T", "1.5G", "M2")],
)
def test_workspace(text: str, wanted: int | None) -> None:
    if wanted is None:
        with pytest.raises(ConfigError, match="--workspace"):
            parse_size(text)
        return
    assert parse_size(text) == wanted
