"""How close two pictures of a face are, face by face, and how much fine detail is left."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure
from torchvision.transforms.functional import gaussian_blur

# Left, top, right and bottom of the inner face in pixels of a 128 px crop: from the brows to below the mouth,
# within the outer corners of the eyes. The landmark template lies inside.
INNER_FACE = (36, 48, 92, 112)

# Below this mean square of the detail (values in [0, 1]) a photo holds no detail to lose.
LEAST_DETAIL = 1e-7


def likeness(images: Tensor, references: Tensor) -> dict[str, Tensor]:
    """`mse`, `psnr` (dB, to 100) and `ssim` of each face: (N, 3, H, W) in [0, 1], twice -> (N,) each.

    SSIM: a Gaussian window of sigma 1.5 px; Wang, Bovik, Sheikh and Simoncelli (2004), equation 13, by
    torchmetrics.
    """
    mse = (images - references).square().mean((1, 2, 3))
    ssim = structural_similarity_index_measure(images, references, data_range=1.0, reduction="none")
    assert isinstance(ssim, Tensor)  # a pair only where the full picture is asked for
    return {"mse": mse, "psnr": -10 * mse.clamp_min(1e-10).log10(), "ssim": ssim.reshape(len(images))}


@torch.no_grad()
def detail_kept(composed: Tensor, photo: Tensor) -> Tensor:
    """The ratio of fine detail in `composed` to that in `photo`, face by face: (N, 3, S, S) twice -> (N,).

    Detail is a picture minus its Gaussian blur of sigma S / 64 px, so that the figure means the same at every
    size; its energy is summed over `INNER_FACE`. 1 = as sharp. An edit that adds edges of its own, such as
    glasses, raises the figure. NaN where the photo holds no detail.
    """
    left, whole = _detail(composed), _detail(photo)
    return torch.where(whole > LEAST_DETAIL, left / whole, torch.nan)


def _detail(images: Tensor) -> Tensor:
    size = images.shape[-1]
    sigma = size / 64
    left, top, right, bottom = (round(edge * size / 128) for edge in INNER_FACE)
    width = 2 * math.ceil(4 * sigma) + 1
    detail: Tensor = images - gaussian_blur(images, [width, width], [sigma, sigma])
    return detail[:, :, top:bottom, left:right].square().mean((1, 2, 3))
