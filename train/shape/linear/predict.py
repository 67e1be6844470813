"""Predict attributes from a face's codes, and how well that does on faces that it was not fitted to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.functional.classification import binary_auroc

# Weight of squared coefficients against the log likelihood of all faces: that of few faces counts for less.
# Of 534 faces it takes Smiling's held-out cross-entropy from 0.71, with a fortieth of it, to 0.31.
PRIOR = 2.4

FOLDS, MOST_FACES = 5, 4000
"""Parts that are held out one after the other, of so many faces at the most."""

HARDLY = 0.6
"""Below this area under the ROC curve labels hardly follow from the picture: 0.5 is chance."""


def classify(layer: nn.Linear, codes: Tensor, y: Tensor) -> None:
    """Logistic regression of y (N, A), 0 or 1, on codes (N, C), into `layer`."""
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.logit(y.mean(0).clamp(1e-3, 1 - 1e-3)))
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        penalty = PRIOR / len(y) * layer.weight.square().sum()
        value = F.binary_cross_entropy_with_logits(layer(codes), y) + penalty
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]


def held_out_auc(
    codes: Tensor, y: Tensor, people: npt.NDArray[np.int64] | None = None, seed: int = 0
) -> list[float]:
    """The area under the ROC curve of each attribute, predicted for faces of people who were held out.

    Of codes (N, C), `MOST_FACES` of them, y (N, A), 0 or 1, and the numbers (N,) of the people, None = one a
    face. NaN where all labels are the same.
    """
    some = torch.from_numpy(np.random.default_rng(seed).permutation(len(y))[:MOST_FACES])
    codes, y = codes[some], y[some]
    who = np.arange(len(y)) if people is None else people[some.numpy()]
    unique, person = np.unique(who, return_inverse=True)
    part = torch.from_numpy(np.random.default_rng(seed).permutation(np.arange(len(unique)) % FOLDS)[person])
    logits = torch.zeros_like(y)
    for held in (part == fold for fold in range(FOLDS)):
        layer = nn.Linear(codes.shape[1], y.shape[1])
        classify(layer, codes[~held], y[~held])
        with torch.no_grad():
            logits[held] = layer(codes[held])
    return [
        float(binary_auroc(scores, labels.int())) if 0 < labels.mean() < 1 else math.nan
        for scores, labels in zip(logits.T, y.T, strict=True)
    ]


def how_well(names: Sequence[str], y: Tensor, aucs: Sequence[float]) -> list[str]:
    """A line for each attribute: how many faces have it, and how well it is predicted (`held_out_auc`)."""
    lines = []
    for name, count, auc in zip(names, y.sum(0).int().tolist(), aucs, strict=True):
        line = f"{name}: {count} of {len(y)} faces have it"
        if math.isnan(auc):
            line = f"Warning: {line}: there is nothing to learn"
        else:
            line += f", predicted on held-out faces with an AUC of {auc:.2f} (0.5: chance, 1: always right)"
            if auc < HARDLY:
                line = f"Warning: {line}: its labels hardly follow from the picture, edits will do little"
        lines.append(line)
    return lines
