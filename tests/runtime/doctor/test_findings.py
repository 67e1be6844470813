"""What the checks make of other machines: their texts, drivers, packages and cameras stood in for."""

import zipfile

import pytest

from aif.runtime.doctor import bundle as doctor_bundle
from aif.runtime.doctor import engines as doctor_engines
from aif.runtime.doctor import machine as doctor_machine
from aif.runtime.doctor import providers as doctor_providers
from aif.runtime.doctor import video as doctor_video
from aif.runtime.doctor.machine import graphics, has_nvidia_card, memory, processor
from aif.runtime.doctor.versions import findings_on, telemetry
from aif.runtime.errors import ConfigError, ProviderError
from aif.runtime.networks.provider_check import Probe

GPU, CV = "onnxruntime-gpu", "opencv-python"
GOOD = dict.fromkeys(("aif", "numpy", CV, GPU, "av", "pillow", "pydantic", "rich", "typer"), "1.0")


@pytest.mark.parametrize(
    ("changes", "problem", "fix"),
    [
        ({}, None, None),
        ({"onnxruntime": "1"}, f"{GPU} and onnxruntime are installed side by side", "pip uninstall -y"),
        ({f"{CV}-headless": "4"}, f"{CV} and {CV}-headless", f'pip install {CV}"<5"'),
        ({GPU: None, "onnxruntime": "1.0"}, None, None),
        ({CV: None, "opencv-contrib-python": "4"}, None, None),
        ({"av": None}, "is not installed", 'pip install "av"'),
        ({GPU: None}, "is not installed", 'pip install "onnxruntime'),
        ({CV: None}, "is not installed", 'pip install "opencv-python<5"'),
    ],
)
def test_packages(changes, problem, fix):
    packages = {name: version for name, version in {**GOOD, **changes}.items() if version is not None}
    found = [(each.text, each.fix) for each in findings_on(packages) if each.status == "problem"]
    assert len(found) == (problem is not None)
    assert not found or (problem in found[0][0] and fix in found[0][1])


def test_telemetry():
    found = [telemetry(setting) for setting in ("1", "TRUE", "0", "")]
    assert [each.status for each in found] == ["ok", "ok", "problem", "problem"]
    assert "unset" in str(found[2].fix)


INTEL = "processor : 0\nmodel name : Intel(R) Xeon\nflags : fpu avx2 avx512f avx512_vnni amx_int8\n"
ARM = "processor : 0\nFeatures : fp asimd asimddp i8mm\n"


@pytest.mark.parametrize(
    ("cpuinfo", "text", "instructions"),
    [
        (INTEL, "Intel(R) Xeon", ["AVX2", "AVX-512", "AVX-512 VNNI", "AMX INT8"]),
        (ARM, "core", ["dot product", "I8MM"]),
        ("model name : Old\nflags : fpu sse2", "neither AVX2", []),
        ("\0\xff:::\n\n:", "not known here", None),
    ],
)
def test_processor(cpuinfo, text, instructions):
    found = processor(cpuinfo)
    assert text in found.text and found.facts.get("instructions") == instructions


def test_memory():
    (found,) = memory("MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    assert found.facts == {"total_gib": 16.0, "free_gib": 8.0}
    assert memory("") == []


@pytest.mark.parametrize(
    ("answer", "card", "statuses"),
    [
        ("NVIDIA L4, 550.54, 23034, 8.9\n", True, ["ok"]),
        ("A, 1, 2, 3\nB, 1, 2, 3\n", True, ["ok", "ok"]),
        ("No devices were found\n", True, ["unknown"]),
        ("", True, ["unknown"]),
        (None, True, ["problem"]),
        (None, False, ["absent"]),
    ],
)
def test_graphics(answer, card, statuses, monkeypatch):
    monkeypatch.setattr(doctor_machine, "has_nvidia_card", lambda: card)
    found = graphics(lambda: answer)
    assert [each.status for each in found] == statuses
    assert statuses != ["problem"] or "driver" in str(found[0].fix)


def test_cards_on_the_bus(tmp_path):
    (tmp_path / "0000:01:00.0").mkdir()
    for vendor, kind, there in (
        ("0x10de", "0x040300", False),
        ("0x8086", "0x030000", False),
        ("0x10de", "0x030200", True),
    ):
        (tmp_path / "0000:01:00.0" / "vendor").write_text(f"{vendor}\n")
        (tmp_path / "0000:01:00.0" / "class").write_text(f"{kind}\n")
        assert has_nvidia_card(tmp_path) is there


@pytest.mark.parametrize(
    ("check", "probe", "card", "status", "said"),
    [
        ("cuda", None, True, "problem", "could not load"),  # there is a card, so something is wrong
        ("cuda", None, False, "absent", "could not load"),
        ("openvino", (3, 3), False, "ok", "3 of 3 nodes"),
        ("openvino", (None, None), False, "ok", "computes"),
    ],
)
def test_providers(monkeypatch, check, probe, card, status, said):
    def probed(device):
        if probe is None:
            raise ProviderError("ONNX Runtime could not load CUDA.", "pip install it")
        return Probe(device, *probe)

    monkeypatch.setattr(doctor_providers, "has_nvidia_card", lambda: card)
    monkeypatch.setattr(doctor_providers, "probe_provider", probed)
    (found,) = getattr(doctor_providers, f"check_{check}")("")
    assert found.status == status and said in found.text and found.facts["loads"] is (probe is not None)
    assert found.fix == ("pip install it" if status == "problem" else None)


@pytest.mark.parametrize("may_read", [True, False])
def test_cameras(monkeypatch, tmp_path, may_read):
    """Two cameras, one of which brings a second device for metadata."""
    for number, index, card in ((10, 0, "Other"), (2, 0, "A camera"), (3, 1, "A camera")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "index").write_text(f"{index}\n")
        (tmp_path / f"video{number}" / "name").write_text(f"{card}\n")
    monkeypatch.setattr(doctor_machine.os, "access", lambda path, mode: may_read)
    found = doctor_machine.check_cameras("", tmp_path)
    assert [each.name for each in found] == ["camera 2", "camera 10"]
    for each, card in zip(found, ("A camera", "Other"), strict=True):
        assert card in each.text and each.status == ("ok" if may_read else "problem")
        assert may_read or "usermod" in str(each.fix)
    assert [each.status for each in doctor_machine.check_cameras("", tmp_path / "none")] == ["absent"]
    monkeypatch.setattr(doctor_machine.sys, "platform", "darwin")
    assert [each.status for each in doctor_machine.check_cameras("", tmp_path)] == ["unknown"]


def test_yunet(monkeypatch, tmp_path):
    broken = tmp_path / "yunet.onnx"
    broken.write_bytes(b"no network")
    for path, status in ((None, "absent"), (broken, "problem")):
        monkeypatch.setattr(doctor_bundle, "yunet_path", lambda path=path: path)
        yunet = doctor_bundle.check_detectors("")[-1]
        assert (yunet.name, yunet.status) == ("yunet", status)
        assert status == "problem" or yunet.fix == "aif fetch yunet"


def test_a_window_needs_a_toolkit_and_a_display(monkeypatch):
    def none():
        raise ConfigError("There is no display.", "Get one.")

    monkeypatch.setattr(doctor_video, "check_display", none)
    monkeypatch.setattr(doctor_video.cv2, "currentUIFramework", lambda: "QT5")
    assert [each.status for each in doctor_video.check_window("")] == ["absent"]
    monkeypatch.setattr(doctor_video, "check_display", lambda: None)
    monkeypatch.setattr(doctor_video.sys, "platform", "linux")
    assert [each.status for each in doctor_video.check_window("")] == ["ok"]
    monkeypatch.setattr(doctor_video.cv2, "currentUIFramework", lambda: "")
    assert "headless" in doctor_video.check_window("")[0].text


def test_an_engine_without_its_sidecar(tmp_path, toy_bundle):
    """tests/cli/test_engines_commands.py has whole ones."""
    with zipfile.ZipFile(toy_bundle.path) as archive:
        archive.extractall(tmp_path)
    assert [each.status for each in doctor_engines.check_engines(str(tmp_path))] == ["absent"]
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "a.engine").write_bytes(b"0")
    (found,) = doctor_engines.check_engines(str(tmp_path))
    assert found.status == "problem" and "a.engine has no sidecar" in found.text
