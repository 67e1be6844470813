"""What Linux says of the processor, and nobody else does."""

import pytest

from aif.runtime.networks import cpu


@pytest.mark.parametrize(
    ("text", "int8", "bf16"),
    [
        ("flags\t\t: fpu sse2 avx2 avx512_vnni\n", True, False),
        ("flags : amx_int8 fpu", True, False),
        ("processor : 0\nFeatures\t: fp asimd asimddp bf16\n", True, True),
        ("flags : fpu avx512_bf16 avx512f\n", False, True),
        ("flags : fpu sse2 avx2 avx512f avx512bw\n", False, False),
        ("model name : a processor with avx512_vnni amx_bf16\nflags : fpu\n", False, False),
        ("flags : avx512_vnni2\n", False, False),
        (None, False, False),
    ],
)
def test_what_linux_says(text, int8, bf16, tmp_path):
    place = tmp_path / "cpuinfo"
    if text is not None:
        place.write_text(text)
    assert (cpu.multiplies_int8(place), cpu.multiplies_bf16(place)) == (int8, bf16)
