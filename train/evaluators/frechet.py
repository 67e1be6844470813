"""Frechet distance between two sets of faces, in the evaluator's features.

The usual FID uses an Inception network that has to be downloaded; here the features are the numbers before
the evaluator's last layer. So figures are not comparable with FIDs from papers, nor with those of another
evaluator: they rank systems that were all measured with the same one.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from aif.train.evaluators.evaluator import Evaluator, normalise, resize_area


class EvaluatorFeatures(nn.Module):
    """The evaluator's network without its last layer: (N, 3, S, S) in [0, 1] -> float64 (N, D) on the CPU.

    In full precision, so that figures do not depend on how a processor rounds. `num_features` is D.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        super().__init__()
        network = copy.deepcopy(evaluator.network)
        assert isinstance(network, nn.Sequential) and isinstance(network[-1], nn.Linear)
        self.network, self.num_features = network[:-1].eval(), network[-1].in_features
        self._image_size, self._device = evaluator.image_size, evaluator.device

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        crops = resize_area(images.to(self._device).float(), self._image_size)
        features: Tensor = self.network(normalise(crops))
        return features.double().cpu()


def frechet_distance(features: nn.Module, real: Tensor, made: Tensor, batch_size: int = 256) -> float:
    """|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the means m and covariances C of two sets' features.

    Few pictures make the figure too large, even between two samples of one source: compare only figures of
    equal n. NaN for fewer than two pictures, and for features that are not finite.

    Args:
        features: pictures (N, ...) -> (N, D), with D as its attribute `num_features`; `EvaluatorFeatures`.
        real, made: pictures as `features` takes them.

    Source: Heusel et al. (2017), equation 6; Chong and Forsyth (2020) on the bias. Computed by torchmetrics.
    """
    metric = FrechetInceptionDistance(feature=features)
    for pictures, are_real in ((real, True), (made, False)):
        for batch in torch.split(pictures, batch_size):
            metric.update(batch, real=are_real)
    sums = torch.stack([metric.real_features_sum, metric.fake_features_sum])
    if min(len(real), len(made)) < 2 or not sums.isfinite().all():
        return math.nan
    return max(0.0, float(metric.compute()))  # rounding can carry that of equal sets below zero
