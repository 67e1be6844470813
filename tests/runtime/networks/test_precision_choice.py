"""Which precision runs when none was asked for, and what the processor has to do with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aif.runtime.bundle.bundle import write_bundle
from aif.runtime.bundle.manifest import FaceSet, Manifest, Variant
from aif.runtime.model import model as model_module
from aif.runtime.model.model import INT8_PAYS, FaceModel
from aif.runtime.networks import cpu, sessions
from aif.runtime.networks.sessions import Session

FACES = FaceSet(dataset="faces", dataset_fingerprint="0" * 64, faces=16, synthetic=False)


def manifest_with(toy_parts: Any, precisions: tuple[str, ...], speedup: float | None) -> Manifest:
    """The toy's, its graphs under these precisions, INT8 measured at this speedup (None = not told)."""
    fields = toy_parts.manifest.model_dump()
    fields["graphs"] = {name: fields["graphs"]["fp32"] for name in precisions}
    if speedup is not None:
        made = Variant(method="", gated_on=FACES, gate={}, limits={}, speedup=speedup, processor="")
        fields["variants"] = {"int8": made}
    return Manifest.model_validate(fields)


ALL = ("fp32", "fp16", "int8")


@pytest.mark.parametrize(
    ("precisions", "speedup", "vnni", "chosen"),
    [
        (("fp32",), None, True, "fp32"),
        (ALL, INT8_PAYS, True, "int8"),
        (ALL, 2.5, True, "int8"),
        (ALL, INT8_PAYS - 0.01, True, "fp32"),
        (ALL, 0.7, True, "fp32"),
        (ALL, 2.5, False, "fp32"),
        (ALL, None, True, "fp32"),
        (("fp16", "fp32"), None, True, "fp32"),
        (("fp16",), None, True, "fp16"),
        (("int8",), None, False, "int8"),
    ],
)
def test_on_the_processor(
    toy_parts: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precisions: tuple[str, ...],
    speedup: float | None,
    vnni: bool,
    chosen: str,
) -> None:
    """INT8 only where the export measured that it pays and this processor multiplies bytes."""
    monkeypatch.setattr(model_module, "multiplies_int8", lambda: vnni)
    manifest = manifest_with(toy_parts, precisions, speedup)
    bundle = write_bundle(tmp_path / "b.aif", manifest, toy_parts.files)
    assert FaceModel(bundle, threads=1).precision == chosen
    for asked in precisions:  # what is asked for is taken, whatever it costs
        assert FaceModel(bundle, threads=1, precision=asked).precision == asked


@pytest.mark.parametrize(
    ("device", "precisions", "chosen"),
    [
        ("cuda", ALL, "fp16"),
        ("cuda", ("fp32", "int8"), "fp32"),
        ("cuda", ("int8",), "int8"),
        ("ort-tensorrt", ALL, "fp16"),
        ("openvino", ALL, "fp32"),
    ],
)
def test_elsewhere(
    toy_parts: Any,
    monkeypatch: pytest.MonkeyPatch,
    device: Any,
    precisions: tuple[str, ...],
    chosen: str,
) -> None:
    monkeypatch.setattr(model_module, "multiplies_int8", lambda: True)
    manifest = manifest_with(toy_parts, precisions, 2.5 if "int8" in precisions else None)
    assert model_module.preferred_precision(manifest, device) == chosen


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("flags\t\t: fpu sse2 avx2 avx512_vnni\n", True),
        ("flags : fpu avx_vnni", True),
        ("flags : amx_int8 fpu", True),
        ("processor : 0\nFeatures\t: fp asimd asimddp\n", True),
        ("flags : fpu sse2 avx2 avx512f avx512bw\n", False),
        ("model name : a processor with avx512_vnni\nflags : fpu\n", False),
        ("flags : avx512_vnni2\n", False),
        ("", False),
        (None, False),
    ],
)
def test_what_linux_says_of_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, known: bool
) -> None:
    monkeypatch.setattr(cpu.platform, "system", lambda: "Linux")
    place = tmp_path / "cpuinfo"
    if text is not None:
        place.write_text(text)
    assert cpu.multiplies_int8(place) is known


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("flags : fpu avx512_bf16 avx512f\n", True),
        ("flags : amx_tile amx_bf16\n", True),
        ("Features : fp asimd bf16\n", True),
        ("flags : fpu avx2 avx512_vnni\n", False),
        ("model name : a processor with amx_bf16\nflags : fpu\n", False),
        ("", False),
        (None, False),
    ],
)
def test_bfloat16_is_multiplied_only_where_linux_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, known: bool
) -> None:
    monkeypatch.setattr(cpu.platform, "system", lambda: "Linux")
    place = tmp_path / "cpuinfo"
    if text is not None:
        place.write_text(text)
    assert cpu.multiplies_bf16(place) is known


@pytest.mark.parametrize("system", ["Windows", "Darwin", ""])
def test_other_systems_do_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(cpu.platform, "system", lambda: system)
    place = tmp_path / "cpuinfo"
    place.write_text("flags : avx512_vnni avx512_bf16\n")
    assert not cpu.multiplies_int8(place)
    assert not cpu.multiplies_bf16(place)


@pytest.mark.parametrize("vnni", [True, False])
def test_without_dot_products_bytes_are_multiplied_exactly(
    toy_parts: Any, monkeypatch: pytest.MonkeyPatch, vnni: bool
) -> None:
    """Where they are there, the exact way would cost a third of the speed and change nothing."""
    monkeypatch.setattr(sessions, "multiplies_int8", lambda: vnni)
    session = Session(toy_parts.files["encoder.onnx"], "cpu", 1, "encoder")
    options = session._session.get_session_options()
    exact = "session.x64quantprecision"
    if vnni:
        with pytest.raises(RuntimeError):
            options.get_session_config_entry(exact)
    else:
        assert options.get_session_config_entry(exact) == "1"
