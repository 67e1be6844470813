"""Likeness figures by hand, and how much detail is left."""

import math

import pytest
import torch

from aif.runtime.geometry.align import template
from aif.train.evaluators.quality import INNER_FACE, detail_kept, likeness


def grey(*values, size=16):
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, size, size).contiguous()


def test_likeness_by_hand():
    found = likeness(grey(0.5, 0.0, 0.25, 0.7), grey(0.4, 1.0, 0.25, 0.699999))
    assert found["mse"].tolist() == pytest.approx([0.01, 1.0, 0.0, 0.0], abs=1e-7)
    assert found["psnr"].tolist() == pytest.approx([20.0, 0.0, 100.0, 100.0], abs=1e-4)
    # without any structure (2ab + c) / (a^2 + b^2 + c), where c = 0.01^2
    wanted = [0.4001 / 0.4101, 0.0001 / 1.0001, 1.0, 1.0]
    assert found["ssim"].tolist() == pytest.approx(wanted, abs=2e-3)


def waves(size, period, amplitude=0.3):
    """Upright stripes whose period is given in pixels of a 64 px picture."""
    x = (torch.arange(size) + 0.5) * 64 / size
    row = 0.5 + amplitude * torch.sin(2 * math.pi * x / period)
    return row.expand(1, 3, size, size).contiguous()


@pytest.mark.parametrize("size", [64, 128, 256])
def test_detail_by_hand(size):
    photo = waves(size, 7.0)  # the inner face is four such waves wide
    assert detail_kept(photo, photo).item() == 1.0
    # energy goes with the square of the amplitude; a blur of sigma 1 damps that by exp(-w^2 / 2)
    assert detail_kept(waves(size, 7.0, 0.15), photo).item() == pytest.approx(0.25, rel=1e-3)
    damping = math.exp(-((2 * math.pi / 7) ** 2) / 2)
    assert detail_kept(waves(size, 7.0, 0.3 * damping), photo).item() == pytest.approx(damping**2, rel=1e-3)
    # slow waves hold less detail than fast ones, 1 - exp(-w^2 / 2) of their amplitude
    slow, fast = (1 - math.exp(-((2 * math.pi / period) ** 2) / 2) for period in (14.0, 7.0))
    assert detail_kept(waves(size, 14.0), photo).item() == pytest.approx((slow / fast) ** 2, rel=0.01)


def test_detail_is_that_of_the_inner_face_only():
    photo = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    composed = photo.clone()
    left, top, right, bottom = (edge // 2 for edge in INNER_FACE)
    reach = 5  # of the blur
    composed[:, :, : top - reach] = 0.5
    composed[:, :, :, right + reach :] = 0.5
    assert detail_kept(composed, photo).mean().item() == pytest.approx(1.0, abs=1e-5)
    composed[:, :, top:bottom, left:right] = 0.5
    assert detail_kept(composed, photo).mean() < 0.7
    points = template(128)
    assert (points > INNER_FACE[:2]).all() and (points < INNER_FACE[2:]).all()
    photo[1] = 0.5  # which has no detail to keep
    assert detail_kept(composed, photo).isnan().tolist() == [False, True, False, False]
