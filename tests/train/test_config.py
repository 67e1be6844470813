"""Configurations: what is refused and how, and that every preset is one."""

import json

import pytest

from aif.runtime.errors import ConfigError
from aif.train.config import from_dict, override, to_dict
from aif.train.presets import PRESETS, get_preset


@pytest.mark.parametrize(
    ("preset", "assignment", "message"),
    [
        ("whole", "objective.rho", "no assignment"),
        ("whole", "objective.rhoo=1", "rho"),
        ("whole", "objectiv.rho=1", "objective"),
        ("whole", "objective.rho=-1", "negative"),
        ("whole", "objective.rho=much", r"objective\.rho = 'much': .*valid number"),
        ("whole", "objective.aux_target=down", "ascend"),
        ("whole", "objective.method=vae", "comes with the preset"),
        ("whole", "network.image_size=96", "64, 128 or 256"),
        ("whole", "network.mirrors=[16]", "mirrors"),
        ("whole", "precision=fp8", "32-true"),
        ("whole", "steps=0", "at least 1"),
        ("whole", "optimiser.ema_decay=2", "EMA"),
        ("whole", "freeze.delta=0", "edit_class"),
        ("whole", "freeze.at=1.5", "1.5"),
        ("whole", "freeze.edit_rate=2", "edit_rate"),
        ("icgan", "objective.gan_share=1.5", "gan_share"),
        ("vae", "objective.aux_weight=1", "aux_weight"),
        ("vae", 'network.y_to=["encoder"]', "read from z"),
        ("vae", "freeze.at=0.5", "needs Algorithm 1"),
        ("icgan", "freeze.at=0.5", "needs Algorithm 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(preset, assignment, message):
    with pytest.raises(ConfigError, match=message):
        override(get_preset(preset), [assignment])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_configurations_survive_json(name):
    config = get_preset(name)
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    assert config.preset == name


def test_an_unknown_setting_in_a_file_is_named():
    values = to_dict(get_preset("vae"))
    values["objective"]["wormholes"] = 3
    with pytest.raises(ConfigError, match=r"objective\.wormholes = 3"):
        from_dict(values)


@pytest.mark.parametrize(("name", "message"), [("residul", "residual"), ("best", "shape and appearance")])
def test_presets_that_are_none_of_whole_crops(name, message):
    with pytest.raises(ConfigError, match=message):
        get_preset(name)
