"""Frechet distance between two sets of faces, in the evaluator's features.

The usual FID uses an Inception network that has to be downloaded. Here the features are the numbers before
the evaluator's last layer. Figures are therefore not comparable with FIDs from papers, nor with those of
another evaluator: they rank systems that were all measured with the same one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aif.runtime.errors import DataError
from aif.train.evaluators.evaluator import Evaluator, normalise, resize_area


@dataclass(frozen=True)
class FrechetScore:
    """A Frechet distance and what it rests on.

    Attributes:
        distance: squared Frechet distance of the Gaussians fitted to both sets' features, 0 = the same.
        real, made: how many pictures of each set.
        features: length D of a feature vector.
    """

    distance: float
    real: int
    made: int
    features: int

    @property
    def singular(self) -> bool:
        """Whether a covariance lacks full rank, having too few pictures: read `distance` with care."""
        return min(self.real, self.made) <= self.features


class EvaluatorFeatures(nn.Module):
    """The evaluator's network without its last layer: pictures -> features.

    Features are computed in full precision, so that figures do not depend on how a processor rounds.

    Attributes:
        num_features: length D of a feature vector, eight times the evaluator's width.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        super().__init__()
        network = copy.deepcopy(evaluator.network)
        assert isinstance(network, nn.Sequential)
        last = network[-1]
        assert isinstance(last, nn.Linear)
        self.network = network[:-1].eval()
        self.num_features = last.in_features
        self._image_size, self._device = evaluator.image_size, evaluator.device

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """float (N, 3, S, S) RGB in [0, 1] -> float64 (N, D) on the CPU.

        Raises:
            ValueError: another shape, or no floating-point numbers.
        """
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"pictures must be float (N, 3, S, S) in [0, 1], got {images.dtype} {tuple(images.shape)}"
            )
        crops = resize_area(images.to(self._device).float(), self._image_size)
        features: Tensor = self.network(normalise(crops))
        return features.double().cpu()


def frechet_distance(
    features: nn.Module,
    real: Tensor | Iterable[Tensor],
    made: Tensor | Iterable[Tensor],
    batch_size: int = 256,
) -> FrechetScore:
    """Frechet distance between two sets of pictures.

    |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)) with the means m and covariances C of the features.

    Few pictures make the figure too large, even between two samples of one source: the covariances are then
    noisy, and with no more pictures than features they are singular (`FrechetScore.singular`). So compare
    only figures of equal n, and take as the floor what two halves of the real pictures score at that n.

    Args:
        features: pictures (N, ...) -> (N, D), with D as its attribute `num_features`; `EvaluatorFeatures`.
        real, made: pictures as `features` takes them, in one tensor or in batches.
        batch_size: how one tensor is cut up.

    Raises:
        DataError: a set has fewer than two pictures, or features that are not finite.

    Source: Heusel et al. (2017), equation 6; Chong and Forsyth (2020) on the bias. Computed by torchmetrics.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=features)
    counts = {"real": 0, "made": 0}
    for what, pictures in (("real", real), ("made", made)):
        for batch in torch.split(pictures, batch_size) if isinstance(pictures, Tensor) else pictures:
            if len(batch):
                with torch.no_grad():
                    metric.update(batch, real=what == "real")
                counts[what] += len(batch)
        if counts[what] < 2:
            raise DataError(f"A Frechet distance needs at least two {what} pictures, got {counts[what]}.")
        total = metric.real_features_sum if what == "real" else metric.fake_features_sum
        if not torch.isfinite(total).all():
            raise DataError(f"The features of the {what} pictures are not finite.")
    # Rounding can carry the distance of equal sets a trifle below zero.
    distance = max(0.0, float(metric.compute()))
    return FrechetScore(distance, counts["real"], counts["made"], len(metric.real_features_sum))
