"""What a landmark network is by default, and what is refused."""

import pytest

from aif.runtime.errors import CheckpointError, ConfigError
from aif.train.landmarks.network import LandmarkConfig, LandmarkNet, export_landmarks


def test_no_checkpoint_and_no_step(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint of a landmarks network"):
        export_landmarks(tmp_path, tmp_path / "out.onnx")
    with pytest.raises(ConfigError, match="at least 64 samples"):
        LandmarkConfig(samples=10)


def test_the_default_network_is_small():
    assert sum(value.numel() for value in LandmarkNet(LandmarkConfig()).state_dict().values()) < 1.5e6
