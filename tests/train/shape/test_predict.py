"""How well attributes are predicted on held-out faces, and what is said of it."""

import math

import numpy as np
import pytest
import torch

from aif.train.shape.linear.predict import held_out_auc, how_well


def test_held_out_faces_show_which_labels_follow_from_the_codes():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(400, 60, generator=generator)
    seen = (codes[:, 0] + 0.3 * torch.randn(400, generator=generator) > 0).float()
    coin = (torch.rand(400, generator=generator) > 0.5).float()
    follows, hardly, none = held_out_auc(codes, torch.stack([seen, coin, torch.ones(400)], dim=1))
    assert follows > 0.9 and 0.4 < hardly < 0.6 and math.isnan(none)


def test_who_somebody_is_predicts_nothing_of_people_who_are_held_out():
    people = np.repeat(np.arange(40), 10)
    codes = torch.eye(40)[torch.from_numpy(people)]
    y = torch.from_numpy(people % 2).float()[:, None]
    (apart,), (mixed,) = (held_out_auc(codes, y, who) for who in (people, None))
    assert apart < 0.6 and mixed > 0.95


@pytest.mark.parametrize(
    ("auc", "warned", "said"),
    [
        (0.91, False, "Hat: 3 of 4 faces have it, predicted on held-out faces with an AUC of 0.91"),
        (0.55, True, "labels hardly follow from the picture"),
        (math.nan, True, "Hat: 3 of 4 faces have it: there is nothing to learn"),
    ],
)
def test_a_line_says_how_many_have_it_and_how_well_it_is_predicted(auc, warned, said):
    (line,) = how_well(["Hat"], torch.tensor([[1.0], [1.0], [1.0], [0.0]]), [auc])
    assert said in line and line.startswith("Warning") == warned
