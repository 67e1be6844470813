"""Smoothing along a photo's edges: what it is by definition, and what it keeps and takes away."""

import numpy as np
import pytest
import torch

from aif.train.networks.filters import EDGE, average, guided, luminance, sharpened, sketch, spread

SIZE = 32


def random(*shape, seed=0):
    return torch.rand(1, *shape, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def everywhere():
    return torch.ones(1, 1, SIZE, SIZE)


def window(y, x, reach):
    return slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1)


@pytest.mark.parametrize("place", [(12, 17), (0, 0), (31, 5)])
def test_guided_is_the_mean_of_weighted_fits_in_all_windows(place):
    """Ridge regression of the change on the light in every window, as the paper defines it."""
    change, light, where, reach = random(1), random(1, seed=1), random(1, seed=2), 2
    d, guide, w = (t[0, 0].double().numpy() for t in (change, light, where))

    def fit(y, x):
        at = window(y, x, reach)
        weight = w[at].ravel() / w[at].sum()
        columns = np.stack([guide[at].ravel() - (weight * guide[at].ravel()).sum(), np.ones(len(weight))], 1)
        normal = columns.T @ (weight[:, None] * columns) + np.diag([EDGE, 0])
        slope, level = np.linalg.solve(normal, columns.T @ (weight * d[at].ravel()))
        return slope, level - slope * (weight * guide[at].ravel()).sum()

    ys, xs = (range(part.start, min(part.stop, SIZE)) for part in window(*place, reach))
    fits = np.array([[fit(y, x) for x in xs] for y in ys])
    weights = w[window(*place, reach)][:, :, None]
    slope, offset = (fits * weights).sum((0, 1)) / weights.sum()
    found = guided(change, light, where, 1, reach)[0, 0, place[0], place[1]].item()
    assert found == pytest.approx(slope * guide[place] + offset, abs=1e-3)


@pytest.mark.parametrize(("step", "reach"), [(1, 2), (2, 3), (4, 3)])
def test_what_follows_the_photo_stays(step, reach):
    """An even change of colour, and one with a step where the photo has one."""
    light = everywhere() * 0.2
    light[..., 15:] = 0.8
    even = everywhere().expand(1, 3, SIZE, SIZE) * torch.tensor([0.2, -0.1, 0.05])[:, None, None]
    torch.testing.assert_close(guided(even, light, everywhere(), step, reach), even, atol=1e-3, rtol=0)
    found = guided(light - 0.5, light, everywhere(), step, reach)[0, 0, 16]
    assert found[16] - found[13] > 0.5 and found[:13].max() < -0.25 and found[18:].min() > 0.25


def test_a_stain_that_is_not_in_the_photo_goes():
    stain = everywhere() * 0
    stain[..., 14:18, 14:18] = 1
    found = guided(stain, everywhere() * 0.5, everywhere(), 2, 3)
    assert found.max() < 0.1 and found.sum() == pytest.approx(stain.sum().item(), rel=0.05)


def test_what_does_not_count_takes_no_part():
    where = everywhere() * 0
    where[..., :16] = 1
    change = where * 0.3 + (1 - where) * 9
    found = guided(change, random(1), where, 2, 3)[..., :15]
    assert (found - 0.3).abs().max() < 0.01


def test_average_counts_what_there_is():
    maps = random(2)
    for y, x in ((0, 0), (9, 20), (31, 31)):
        there = maps[(..., *window(y, x, 3))].mean(dim=(2, 3))
        torch.testing.assert_close(average(maps, 3)[..., y, x], there)


def test_spread_fills_in_from_what_counts():
    """A mean of means over both windows, each place by its weight."""
    maps, where = random(2), (random(1, seed=3) > 0.5).float()
    found = spread(maps, where, 1, 1)
    ys, xs = window(10, 20, 2)
    kernel = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0])
    weight = kernel[:, None] * kernel * where[0, 0, ys, xs]
    expected = (weight * maps[0, :, ys, xs]).sum((1, 2)) / weight.sum()
    torch.testing.assert_close(found[0, :, 10, 20], expected, atol=1e-3, rtol=0)
    hole = torch.ones(1, 1, SIZE, SIZE)
    hole[..., 13:17, 13:17] = 0
    assert spread(hole * 0.3 + (1 - hole) * 9, hole, 2, 3) == pytest.approx(0.3, abs=1e-3)


def test_luminance_and_sketch():
    face = random(3)
    assert luminance(torch.ones(1, 3, 8, 8)).allclose(torch.ones(1, 1, 8, 8))
    assert sketch(face * 0 + 0.7).abs().max() < 1e-5
    ramp = torch.linspace(0, 1, SIZE).expand(1, 3, SIZE, SIZE)
    assert sketch(ramp)[..., 4:-4].abs().max() < 1e-5
    assert sketch(face).abs().mean() > 0.1


def test_sharpened_gives_back_the_detail_that_a_drawing_lacks():
    face = random(3)
    blurred = average(face, 1)
    found = sharpened(blurred, blurred, face, everywhere())

    def energy(image):
        return (image - average(image, 1)).square().mean()

    assert energy(blurred) * 1.5 < energy(found) <= energy(face)
    near = torch.nn.functional.max_pool2d(torch.cat([blurred, -blurred]), 3, 1, 1)
    assert (found <= near[:1]).all() and (found >= -near[1:]).all()
    assert torch.equal(sharpened(face, face, blurred, everywhere()), face), "it never blurs"
    elsewhere = torch.where(torch.arange(SIZE) < 16, blurred, face)
    assert torch.equal(
        sharpened(face, face, elsewhere, (torch.arange(SIZE) >= 16).float().expand(1, 1, SIZE, SIZE)), face
    )


def test_nothing_to_judge_by_leaves_a_drawing_as_it_is():
    assert torch.equal(sharpened(random(3), random(3), random(3, seed=1), everywhere() * 0), random(3))
