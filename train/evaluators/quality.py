"""How close two pictures of a face are, face by face: MSE, PSNR, SSIM, LPIPS, and the sharpness that is left.

LPIPS uses a backbone that others trained. It is computed only where that network's file is on the disk
already: nothing here reaches for the internet.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from aif.runtime.errors import CheckpointError, ConfigError, DataError

LpipsNet = Literal["alex", "squeeze", "vgg"]

LPIPS_FILES: dict[LpipsNet, str] = {
    "alex": "alexnet-owt-7be5be79.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
    "vgg": "vgg16-397923af.pth",
}
"""torchvision's names of the backbones' weights trained on ImageNet."""

# Left, top, right and bottom of the inner face in pixels of a 128 px crop: from the brows to below the mouth,
# within the outer corners of the eyes. The landmark template lies inside.
INNER_FACE = (36, 48, 92, 112)

# Below this mean square of the detail (values in [0, 1]) a photo holds no detail to lose.
LEAST_DETAIL = 1e-7

_CHUNK = 64  # faces at a time, which bounds the memory


@dataclass(frozen=True)
class Mean:
    """A mean over faces and how far it can be trusted.

    Attributes:
        mean: of the values, one a face; NaN where there is none.
        n: how many faces.
        low, high: 95 % interval of the mean by the normal approximation, mean -+ 1.96 s / sqrt(n) with the
            sample's standard deviation s; NaN for fewer than two faces, whose spread is unknown.
    """

    mean: float
    n: int
    low: float
    high: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Mean:
        """Summarise (N,) values.

        Raises:
            ValueError: the values are not one row of numbers.
        """
        row = np.asarray(values, dtype=np.float64)
        if row.ndim != 1:
            raise ValueError(f"values must be (N,), one a face, got {row.shape}")
        if len(row) < 2:
            return cls(float(row[0]) if len(row) else math.nan, len(row), math.nan, math.nan)
        mean = float(row.mean())
        reach = NormalDist().inv_cdf(0.975) * float(row.std(ddof=1)) / math.sqrt(len(row))
        return cls(mean, len(row), mean - reach, mean + reach)

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}] n={self.n}" if self.n else "none"


@dataclass(frozen=True)
class Quality:
    """Likeness of pictures to their references, averaged over faces.

    Attributes:
        mse: mean squared error, values in [0, 1]; 0 = equal.
        psnr: peak signal-to-noise ratio in dB, averaged over faces; 100 at the most.
        ssim: structural similarity; 1 = equal.
        lpips: learned perceptual distance, 0 = equal; None where it could not be computed (`lpips_lacks`).
        lpips_net: the backbone of LPIPS, None where there was none.
    """

    mse: Mean
    psnr: Mean
    ssim: Mean
    lpips: Mean | None
    lpips_net: LpipsNet | None


def quality(images: Tensor, references: Tensor, *, lpips_net: LpipsNet | None = "alex") -> Quality:
    """Compare pictures with the references that they ought to equal.

    Args:
        images, references: float (N, 3, H, W) RGB in [0, 1].
        lpips_net: backbone of LPIPS; None to leave it out.

    Raises:
        DataError: there is no face.
        ConfigError: there is no such backbone.
        CheckpointError: the backbone's file is there and cannot be read.
        ValueError: shapes differ or are no pictures, or the pictures are too small for SSIM.
    """
    _check(images, references)
    if not len(images):
        raise DataError("There is no face whose quality could be measured.")
    lpips = None if lpips_net is None else lpips_per_face(images, references, lpips_net)
    mse, psnr, ssim = (
        Mean.of(measure(images, references).numpy())
        for measure in (mse_per_face, psnr_per_face, ssim_per_face)
    )
    if lpips is None:
        return Quality(mse, psnr, ssim, None, None)
    return Quality(mse, psnr, ssim, Mean.of(lpips.numpy()), lpips_net)


def mse_per_face(images: Tensor, references: Tensor) -> Tensor:
    """Mean squared error over channels and pixels: (N, 3, H, W) in [0, 1], twice -> float32 (N,)."""
    return _by_chunks(
        images, references, lambda image, reference: (image - reference).square().mean((1, 2, 3))
    )


def psnr_per_face(images: Tensor, references: Tensor) -> Tensor:
    """-10 log10(MSE) in dB of each face: float32 (N,). An MSE below 1e-10 counts as that: 100 dB."""
    return -10 * mse_per_face(images, references).clamp_min(1e-10).log10()


def ssim_per_face(images: Tensor, references: Tensor) -> Tensor:
    """Structural similarity of each face, float32 (N,), 1 = equal.

    A Gaussian window of sigma 1.5 px, K1 = 0.01, K2 = 0.03, range 1, averaged over the colour channels and
    the whole picture (its borders mirrored).

    Raises:
        ValueError: shapes differ or are no pictures, or a side is shorter than 6 px.

    Source: Wang, Bovik, Sheikh and Simoncelli (2004), equation 13, as in torchmetrics.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    if min(images.shape[-2:]) < 6:
        raise ValueError(f"SSIM needs pictures of at least 6 px, got {tuple(images.shape)}")

    def compare(image: Tensor, reference: Tensor) -> Tensor:
        found = ssim(image, reference, data_range=1.0, reduction="none")
        assert isinstance(found, Tensor)  # a pair only where the full picture is asked for
        return found.reshape(len(image))

    return _by_chunks(images, references, compare)


def lpips_lacks(net: LpipsNet = "alex") -> str | None:
    """What keeps LPIPS from being computed, in plain words; None where nothing does.

    Raises:
        ConfigError: there is no such backbone.
    """
    place = _lpips_file(net)
    if place.is_file():
        return None
    home = Path.home()  # reports are shown to others: they need not know whose machine it was
    shown = Path("~", place.relative_to(home)) if place.is_relative_to(home) else place
    return (
        f"LPIPS with the {net} backbone needs torchvision's weights in the file {shown}, which is not there. "
        "aif does not download it; put it there yourself to have this figure."
    )


def lpips_per_face(images: Tensor, references: Tensor, net: LpipsNet = "alex") -> Tensor | None:
    """Learned perceptual distance of each face, float32 (N,), 0 = equal; None where `lpips_lacks` says why.

    Raises:
        ConfigError: there is no such backbone.
        CheckpointError: its file is there and cannot be read.
        ValueError: shapes differ or are no pictures.

    Source: Zhang, Isola, Efros, Shechtman and Wang (2018), equation 1, as in torchmetrics.
    """
    _check(images, references)
    if lpips_lacks(net) is not None:
        return None
    network = _lpips_network(net, _lpips_file(net)).to(images.device)
    return _by_chunks(
        images,
        references,
        lambda image, reference: network(image, reference, normalize=True).reshape(len(image)),
    )


def sharpness(composed: Tensor, photo: Tensor) -> Mean:
    """How much of the photo's fine detail is left in the inner face: 1 = as sharp, below 1 = blurred.

    The mean of `detail_kept` over faces. Faces whose photo holds no detail there are left out; n counts the
    others.

    Raises:
        ValueError: shapes differ or are no squares of at least 16 px.
    """
    kept = detail_kept(composed, photo)
    return Mean.of(kept[kept.isfinite()].numpy())


def detail_kept(composed: Tensor, photo: Tensor) -> Tensor:
    """The ratio of fine detail in `composed` to that in `photo`, face by face: float32 (N,).

    Detail is a picture minus its Gaussian blur of sigma 1 px at 64 px (sigma S / 64 at S px, so that
    the figure means the same at every size), which is about a Laplacian. Each face gives the ratio of its
    energy (sum of squares over `INNER_FACE` and the colours) in `composed` to that in `photo`. An edit that
    adds edges of its own, such as glasses, raises the figure: compare systems on the same edit. NaN where the
    photo holds no detail.

    Args:
        composed, photo: float (N, 3, S, S) RGB in [0, 1], S at least 16.

    Raises:
        ValueError: shapes differ or are no squares of at least 16 px.
    """
    size = photo.shape[-1]
    if photo.ndim != 4 or photo.shape[-2] != size or size < 16:
        raise ValueError(f"sharpness needs square pictures of at least 16 px, got {tuple(photo.shape)}")
    _check(composed, photo)
    left, whole = (_by_chunks(each, each, lambda a, _: _detail(a)) for each in (composed, photo))
    return torch.where(whole > LEAST_DETAIL, left / whole, torch.nan)


def _detail(images: Tensor) -> Tensor:
    """Mean square of the fine detail in the inner face: (N, 3, S, S) -> (N,)."""
    from torchvision.transforms.functional import gaussian_blur

    size = images.shape[-1]
    sigma = size / 64
    left, top, right, bottom = (round(edge * size / 128) for edge in INNER_FACE)
    width = 2 * math.ceil(4 * sigma) + 1
    detail: Tensor = images - gaussian_blur(images, [width, width], [sigma, sigma])
    return detail[:, :, top:bottom, left:right].square().mean((1, 2, 3))


def _check(images: Tensor, references: Tensor) -> None:
    if images.shape != references.shape or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"pictures and references must both be (N, 3, H, W), got {tuple(images.shape)} "
            f"and {tuple(references.shape)}"
        )
    if not images.is_floating_point() or not references.is_floating_point():
        raise ValueError("pictures must be floating-point numbers in [0, 1]")


@torch.no_grad()
def _by_chunks(images: Tensor, references: Tensor, compare: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """One value a face, computed a few faces at a time: float32 on the CPU."""
    _check(images, references)
    pairs = zip(torch.split(images, _CHUNK), torch.split(references, _CHUNK), strict=True)
    return torch.cat([torch.zeros(0), *(compare(a.float(), b.float()).cpu() for a, b in pairs if len(a))])


def _lpips_file(net: LpipsNet) -> Path:
    if net not in get_args(LpipsNet):
        raise ConfigError(f"There is no LPIPS backbone {net!r}.", f"Known: {', '.join(get_args(LpipsNet))}.")
    return Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_FILES[net]


@lru_cache(maxsize=1)
def _lpips_network(net: LpipsNet, place: Path) -> nn.Module:
    """torchmetrics' LPIPS, whose backbone torchvision reads from the file `place`, which is there.

    torchvision would unpickle any object; so the file is first read as tensors and nothing else.
    """
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    try:
        torch.load(place, map_location="cpu", weights_only=True)
        network: nn.Module = LearnedPerceptualImagePatchSimilarity(net).net
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RuntimeError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise CheckpointError(
            f"{place} holds no readable weights of torchvision's {net} backbone ({error}).",
            "Remove the file, or copy it there again.",
        ) from error
    return network
