"""Which precision runs when none was asked for."""

import pytest

from aif.runtime.bundle.bundle import write_bundle
from aif.runtime.bundle.manifest import FaceSet, Manifest, Variant
from aif.runtime.model import model as model_module
from aif.runtime.model.model import INT8_PAYS, FaceModel

FACES = FaceSet(dataset="faces", dataset_fingerprint="0" * 64, faces=16, synthetic=False)


def manifest_with(toy_parts, precisions, speedup):
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
        (ALL, INT8_PAYS - 0.01, True, "fp32"),
        (ALL, 2.5, False, "fp32"),
        (ALL, None, True, "fp32"),
        (("fp16", "fp32"), None, True, "fp32"),
        (("fp16",), None, True, "fp16"),
        (("int8",), None, False, "int8"),
    ],
)
def test_on_the_processor(toy_parts, tmp_path, monkeypatch, precisions, speedup, vnni, chosen):
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
def test_elsewhere(toy_parts, monkeypatch, device, precisions, chosen):
    monkeypatch.setattr(model_module, "multiplies_int8", lambda: True)
    manifest = manifest_with(toy_parts, precisions, 2.5 if "int8" in precisions else None)
    assert model_module.preferred_precision(manifest, device) == chosen
