"""Likeness figures against values by hand and a reference library; LPIPS never reaches for the network."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torchmetrics.functional.image import learned_perceptual_image_patch_similarity

from aif.runtime.errors import CheckpointError, ConfigError, DataError
from aif.runtime.geometry.align import template
from aif.train.evaluators import quality as quality_module
from aif.train.evaluators.quality import (
    INNER_FACE,
    LPIPS_FILES,
    LpipsNet,
    Mean,
    lpips_lacks,
    lpips_per_face,
    mse_per_face,
    psnr_per_face,
    quality,
    sharpness,
    ssim_per_face,
)


def grey(*values: float, size: int = 16) -> Tensor:
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, size, size).contiguous()


def smooth(n: int, size: int = 64, seed: int = 0) -> Tensor:
    """Blotches with some fine grain, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.nn.functional.interpolate(
        torch.rand(n, 3, 6, 6, generator=generator), size=(size, size), mode="bicubic"
    )
    return (coarse + 0.05 * torch.randn(n, 3, size, size, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize(
    ("values", "mean", "reach"),
    [
        ([1.0, 3.0], 2.0, 1.959964 * math.sqrt(2) / math.sqrt(2)),
        ([2.0, 4.0, 6.0, 8.0], 5.0, 1.959964 * math.sqrt(20 / 3) / 2),
        ([0.5] * 10, 0.5, 0.0),
    ],
)
def test_means(values: list[float], mean: float, reach: float) -> None:
    found = Mean.of(values)
    assert (found.mean, found.n) == (pytest.approx(mean), len(values))
    assert (found.low, found.high) == (pytest.approx(mean - reach), pytest.approx(mean + reach))
    assert f"n={len(values)}" in str(found)


def test_means_of_too_little() -> None:
    one, none = Mean.of([0.25]), Mean.of([])
    assert (one.mean, one.n) == (0.25, 1)
    assert math.isnan(one.low) and math.isnan(one.high)
    assert none.n == 0 and math.isnan(none.mean)
    assert str(none) == "none"
    assert math.isnan(Mean.of([1.0, math.nan]).mean)  # what has diverged does not vanish
    with pytest.raises(ValueError, match="one a face"):
        Mean.of(np.zeros((2, 2)))


def test_mse_and_psnr_by_hand() -> None:
    images, references = grey(0.5, 0.0, 0.25, 0.7), grey(0.4, 1.0, 0.25, 0.699999)
    assert mse_per_face(images, references).tolist() == pytest.approx([0.01, 1.0, 0.0, 0.0], abs=1e-7)
    assert psnr_per_face(images, references).tolist() == pytest.approx([20.0, 0.0, 100.0, 100.0], abs=1e-4)


def test_ssim_of_plain_greys_by_hand() -> None:
    a, b, c1 = 0.3, 0.5, 0.01**2
    found = ssim_per_face(grey(a, b, 0.0), grey(b, b, 1.0)).tolist()
    assert found == pytest.approx([(2 * a * b + c1) / (a * a + b * b + c1), 1.0, c1 / (1 + c1)], abs=1e-4)


def test_ssim_against_scikit_image() -> None:
    images = smooth(3, 128)
    references = (images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(5))).clamp(
        0, 1
    )
    found = ssim_per_face(images, references)
    for image, reference, value in zip(images, references, found.tolist(), strict=True):
        expected = structural_similarity(
            image.numpy(),
            reference.numpy(),
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert 0.2 < value < 0.9
        assert value == pytest.approx(expected, abs=0.01)  # borders are treated otherwise there


@pytest.mark.parametrize(
    ("images", "references", "words"),
    [
        (torch.zeros(2, 3, 16, 16), torch.zeros(3, 3, 16, 16), "must both be"),
        (torch.zeros(2, 1, 16, 16), torch.zeros(2, 1, 16, 16), "must both be"),
        (torch.zeros(3, 16, 16), torch.zeros(3, 16, 16), "must both be"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.zeros(2, 3, 16, 16), "floating-point"),
        (torch.zeros(2, 3, 5, 5), torch.zeros(2, 3, 5, 5), "at least 6 px"),
    ],
)
def test_pictures_that_do_not_fit(images: Tensor, references: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        quality(images, references, lpips_net=None)


def test_no_face() -> None:
    empty = torch.zeros(0, 3, 16, 16)
    with pytest.raises(DataError, match="no face"):
        quality(empty, empty)
    assert psnr_per_face(empty, empty).shape == ssim_per_face(empty, empty).shape == (0,)
    assert sharpness(empty, empty).n == 0


def waves(size: int, period: float, amplitude: float = 0.3) -> Tensor:
    """Upright stripes whose period is given in pixels of a 64 px picture."""
    x = (torch.arange(size) + 0.5) * 64 / size
    row = 0.5 + amplitude * torch.sin(2 * math.pi * x / period)
    return row.expand(1, 3, size, size).contiguous()


@pytest.mark.parametrize("size", [64, 128, 256])
def test_sharpness_by_hand(size: int) -> None:
    photo = waves(size, 7.0)  # the inner face is four such waves wide
    assert sharpness(photo, photo).mean == 1.0
    # energy goes with the square of the amplitude; a blur of sigma 1 damps that by exp(-w^2 / 2)
    assert sharpness(waves(size, 7.0, 0.15), photo).mean == pytest.approx(0.25, rel=1e-3)
    damping = math.exp(-((2 * math.pi / 7) ** 2) / 2)
    assert sharpness(waves(size, 7.0, 0.3 * damping), photo).mean == pytest.approx(damping**2, rel=1e-3)
    # slow waves hold less detail than fast ones, 1 - exp(-w^2 / 2) of their amplitude
    slow, fast = (1 - math.exp(-((2 * math.pi / period) ** 2) / 2) for period in (14.0, 7.0))
    assert sharpness(waves(size, 14.0), photo).mean == pytest.approx((slow / fast) ** 2, rel=0.01)


def test_sharpness_looks_at_the_inner_face_only() -> None:
    photo = smooth(4, 64)
    composed = photo.clone()
    left, top, right, bottom = (edge // 2 for edge in INNER_FACE)
    reach = 5  # of the blur
    composed[:, :, : top - reach] = 0.5
    composed[:, :, :, right + reach :] = 0.5
    assert sharpness(composed, photo).mean == pytest.approx(1.0, abs=1e-5)
    composed[:, :, top:bottom, left:right] = 0.5
    assert sharpness(composed, photo).mean < 0.7
    points = template(128)
    assert (points > [INNER_FACE[0], INNER_FACE[1]]).all() and (points < [INNER_FACE[2], INNER_FACE[3]]).all()


def test_photos_without_detail_are_left_out_of_sharpness() -> None:
    photo, composed = smooth(3), smooth(3, seed=1)
    photo[1] = 0.5
    assert sharpness(composed, photo).n == 2
    assert math.isnan(sharpness(composed[:2] * math.nan, photo[:2]).mean)
    for bad in (torch.zeros(1, 3, 16, 32), torch.zeros(1, 3, 8, 8)):
        with pytest.raises(ValueError, match="square pictures"):
            sharpness(bad, bad)
    with pytest.raises(ValueError, match="must both be"):
        sharpness(photo[:2], photo)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, on a machine where any attempt to connect fails the test."""

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("tried to reach the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    # what is kept from test to test would hide a file that has changed
    monkeypatch.setattr(quality_module, "_lpips_network", quality_module._lpips_network.__wrapped__)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


def put_weights(folder: Path, build: Callable[..., nn.Module] = torchvision.models.squeezenet1_1) -> Path:
    """Random weights in the place and the shape of torchvision's SqueezeNet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        torch.save(build(weights=None).state_dict(), folder / LPIPS_FILES["squeeze"])
    return folder / LPIPS_FILES["squeeze"]


@pytest.mark.parametrize("net", list(LPIPS_FILES))
def test_without_weights_lpips_says_so_and_stays_at_home(hub: Path, net: LpipsNet) -> None:
    images = smooth(2)
    assert lpips_per_face(images, images, net) is None
    with pytest.raises(ConfigError, match="no LPIPS backbone"):
        lpips_lacks("inception")  # type: ignore[arg-type]
    lacks = lpips_lacks(net)
    assert lacks is not None and str(hub / LPIPS_FILES[net]) in lacks
    found = quality(images, images, lpips_net=net)
    assert (found.lpips, found.lpips_net) == (None, None)
    assert list(hub.iterdir()) == []


def test_what_lpips_lacks_does_not_tell_whose_home_it_is(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: hub.parent)
    lacks = lpips_lacks()
    assert lacks is not None and f"~/{hub.name}/" in lacks and str(hub.parent) not in lacks


def test_the_file_names_are_torchvisions() -> None:
    models = torchvision.models
    for net, weights in (
        ("alex", models.AlexNet_Weights.DEFAULT),
        ("squeeze", models.SqueezeNet1_1_Weights.DEFAULT),
        ("vgg", models.VGG16_Weights.DEFAULT),
    ):
        assert weights.url.endswith("/" + LPIPS_FILES[net])


def test_lpips_is_torchmetrics_own(hub: Path) -> None:
    put_weights(hub)
    images, references = smooth(3), smooth(3, seed=1)
    assert lpips_lacks("squeeze") is None
    found = lpips_per_face(images, references, "squeeze")
    assert found is not None and found.shape == (3,)
    expected = learned_perceptual_image_patch_similarity(
        images, references, "squeeze", reduction="none", normalize=True
    )
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    same, none = (lpips_per_face(images[:n], images[:n], "squeeze") for n in (1, 0))
    assert found.min() > 0 and same is not None and same.tolist() == [0.0]
    assert none is not None and none.shape == (0,)
    whole = quality(images, references, lpips_net="squeeze")
    assert whole.lpips is not None and whole.lpips.mean == pytest.approx(found.mean().item())
    assert whole.lpips_net == "squeeze"


@pytest.mark.parametrize("damage", ["cut", "no tensors", "other network", "code"])
def test_damaged_weights_are_refused_and_not_fetched_anew(hub: Path, damage: str) -> None:
    file = put_weights(hub)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "no tensors":
        torch.save([1, 2], file)
    elif damage == "other network":
        put_weights(hub, torchvision.models.shufflenet_v2_x0_5)
    else:
        torch.save(
            {**torch.load(file), "more": Path("an object that only a full pickle reader would make")}, file
        )
    with pytest.raises(CheckpointError, match="no readable weights"):
        lpips_per_face(smooth(1), smooth(1), "squeeze")
