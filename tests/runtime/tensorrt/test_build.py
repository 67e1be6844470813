"""What Polygraphy is asked for; errors of the parser and the builder; where the timing cache lies."""

import logging

import pytest

from aif.runtime.errors import AifError, ConfigError
from aif.runtime.tensorrt.build import BuildOptions, build_engine, check_timing_cache
from aif.runtime.tensorrt.library import load_library
from aif.runtime.tensorrt.sidecar import BatchProfile


def build(bundle, **options):
    return build_engine(bundle.graph_bytes("fp32", "decoder"), BuildOptions(**options))


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, {}),
        ({"workspace": 1 << 30}, {"memory_pool_limits": {"workspace": 1 << 30}}),
        ({"version_compatible": True}, {"version_compatible": True}),
        ({"hardware_compatible": True}, {"hardware_compatibility_level": "ampere and later"}),
        (
            {"profile": BatchProfile(min=4, opt=4, max=4)},
            {"profile": {"z": ((4, 48),) * 3, "y": ((4, 2),) * 3, "feature_0": ((4, 3, 16, 16),) * 3}},
        ),
    ],
)
def test_what_is_asked_for(options, asked, stand_in_card, toy_bundle):
    """Strongly typed (the stand-in takes nothing else), no precision flag, no TF32; inputs with profiles."""
    assert build(toy_bundle, **options)
    usual = {
        "z": ((1, 48), (2, 48), (16, 48)),
        "y": ((1, 2), (2, 2), (16, 2)),
        "feature_0": ((1, 3, 16, 16), (2, 3, 16, 16), (16, 3, 16, 16)),
    }
    assert stand_in_card.builds == [{"profile": usual} | asked]


def test_errors_of_the_parser_and_the_builder(stand_in_card, toy_bundle, capsys, caplog):
    stand_in_card.errors = ["In node 3 (Resize): UNSUPPORTED_NODE: one", "In node 9 (Clip): INVALID: two"]
    with caplog.at_level(logging.ERROR), pytest.raises(AifError, match="cannot be parsed") as caught:
        build(toy_bundle)
    assert all(line in caplog.text for line in stand_in_card.errors) and "log" in str(caught.value.fix)
    stand_in_card.errors, stand_in_card.build_error = [], "Error Code 10: no kernel for Conv_3"
    with pytest.raises(AifError, match=r"cannot build the engine: .*no kernel for Conv_3"):
        build(toy_bundle)
    assert not stand_in_card.builds and capsys.readouterr().out == ""


def test_the_timing_cache_is_used_again(stand_in_card, toy_bundle, tmp_path):
    usual = check_timing_cache(BuildOptions(), load_library())
    assert usual.parent == tmp_path / "cache" / "engines" and "trt11.3.0.14.sm90" in usual.name
    own = tmp_path / "deep" / "own.cache"
    for options, place in (({}, usual), ({"timing_cache": own}, own)):
        build(toy_bundle, **options)
        build(toy_bundle, **options)
        first, second = stand_in_card.builds[-2:]
        assert "load_timing_cache" not in first and second["load_timing_cache"] == str(place)


@pytest.mark.parametrize("place", ["file/timing.cache", "."])
def test_a_timing_cache_that_cannot_be_kept(place, stand_in_card, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="timing cache cannot be kept") as caught:
        check_timing_cache(BuildOptions(timing_cache=tmp_path / place), load_library())
    assert "--timing-cache" in str(caught.value.fix)
