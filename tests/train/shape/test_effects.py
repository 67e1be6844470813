"""What attributes do, apart from who has them."""

import numpy as np
import pytest
import torch
from torch import nn

from aif.train.shape.linear.effects import fit_maps, regress
from aif.train.shape.linear.networks import LinearDecoder


def people_and_smiles(count=400, photos=6):
    """Numbers of people, y = (smiling, male), and how made up each is: women are, and smile more often."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(count), photos)
    male = rng.integers(0, 2, count)
    made_up = (1 - male) * rng.random(count) + 0.5 * rng.random(count)
    smiling = rng.random(len(who)) < 0.15 + 0.5 * made_up[who]
    y = np.stack([smiling, male[who]], axis=1).astype(np.float32)
    return who, torch.from_numpy(y), torch.from_numpy(made_up[who].astype(np.float32))


def test_a_smile_is_not_taken_for_what_smiling_people_have():
    who, y, made_up = people_and_smiles()
    noise = 0.05 * torch.randn(len(y), generator=torch.Generator().manual_seed(0))
    goal = (0.5 * y[:, 0] + 2.0 * made_up + noise)[:, None]
    plain, apart = nn.Linear(2, 1), nn.Linear(2, 1)
    with torch.no_grad():
        regress(plain, y, goal, 1e-6)
        regress(apart, y, goal, 1e-6, who)
    assert plain.weight[0, 0].item() > 0.75
    assert apart.weight[0, 0].item() == pytest.approx(0.5, abs=0.06)
    assert apart.weight[0, 1].item() == pytest.approx(-1.0, abs=0.2)  # which people alone differ in
    assert (goal - apart(y)).mean().item() == pytest.approx(0, abs=1e-4)


def test_maps_of_the_mouth_come_from_open_ones():
    who, y, made_up = people_and_smiles(count=60)
    opened = torch.arange(len(y)) % 3 == 0
    decoder = LinearDecoder(32, 8, 2)
    decoder.mouth[..., 20:24, 12:20] = 1
    smile = y[:, 0, None, None, None]
    said = torch.full((len(y), 3, 32, 32), -0.4)
    texture = said + 0.3 * smile + made_up[:, None, None, None]
    texture[~opened] += (-5 * smile * decoder.mouth)[~opened]  # what shut mouths show there is none
    batches = zip(texture.split(50), said.split(50), strict=True)
    with torch.no_grad():
        fit_maps(decoder, y, opened, batches, 1e-6, who)
        maps = decoder.fine.weight[:, 0].reshape(3, 32, 32)
        left = (texture - said - decoder.fine(y).reshape(texture.shape))[opened].mean()
    torch.testing.assert_close(maps, torch.full_like(maps, 0.3), atol=0.12, rtol=0)
    assert left.abs() < 0.05
