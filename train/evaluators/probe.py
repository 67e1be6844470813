"""Fresh classifiers on frozen codes: the honest test of what z still says about an attribute.

The auxiliary network of training is no proof, for it follows an encoder that changes. A probe is trained
afterwards, on codes that are fixed, and measured on codes of people whom it has not seen.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.errors import DataError
from aif.train.statistics import Share, balanced_accuracy, entropy_bits, majority_rate

ProbeKind = Literal["linear", "mlp"]

MAX_EPOCHS, PATIENCE = 60, 5
HELD_OUT = 0.15  # share of the training codes that decides when the MLP stops


@dataclass(frozen=True)
class ProbeResult:
    """What a probe reads from codes of n unseen faces.

    Attributes:
        accuracy, interval: share of right predictions, with its 95 % Wilson interval.
        balanced_accuracy: mean of the accuracies on both label values, with the threshold at the share of
            positives in training; 0.5 means that nothing is read, also for rare attributes.
        majority_rate: accuracy of always naming the commoner label.
        bits: lower bound of the information I(z; y): entropy of y less the probe's cross-entropy, at least 0.
    """

    kind: ProbeKind
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    majority_rate: float
    bits: float
    n: int


def probe(
    z_train: npt.ArrayLike,
    y_train: npt.ArrayLike,
    z_val: npt.ArrayLike,
    y_val: npt.ArrayLike,
    *,
    kind: ProbeKind = "mlp",
    seed: int = 0,
) -> ProbeResult:
    """Train a classifier of one attribute on frozen codes (N, Z) with labels (N,), and measure it on others.

    Inputs are standardised by the training codes. The MLP (two hidden layers of 256) stops when the
    cross-entropy on a held-out part of them no longer falls. The caller's random state is left alone.
    Raises DataError where codes are not finite, or a label value is missing (or stands alone) in training.
    """
    x, t, x_val, t_val = (
        torch.from_numpy(np.array(values, dtype=np.float32)) for values in (z_train, y_train, z_val, y_val)
    )
    if not (x.isfinite().all() and x_val.isfinite().all()):
        raise DataError("The codes hold values that are not finite; the encoder has diverged.")
    if min(t.sum(), (1 - t).sum()) < 2:
        raise DataError("A probe needs at least two training faces with and two without the attribute.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, spread = x.mean(0), x.std(0)
        spread[spread < 1e-6] = 1.0
        network = (_fit_linear if kind == "linear" else _fit_mlp)((x - mean) / spread, t)
        with torch.no_grad():
            logits = network((x_val - mean) / spread).squeeze(1)
    loss_bits = F.binary_cross_entropy_with_logits(logits, t_val).item() / math.log(2)
    truth, positives = t_val.numpy() > 0.5, float(t.mean())
    hits = Share.of((logits > 0).numpy() == truth)
    return ProbeResult(
        kind=kind,
        accuracy=hits.rate,
        interval=hits.interval,
        balanced_accuracy=balanced_accuracy((logits.sigmoid() > positives).numpy(), truth),
        majority_rate=majority_rate(truth),
        bits=max(0.0, entropy_bits(float(truth.mean())) - loss_bits),
        n=hits.n,
    )


def _fit_linear(x: Tensor, t: Tensor) -> nn.Module:
    """Logistic regression by L-BFGS with a trace of weight decay, which keeps separable classes finite."""
    network = nn.Linear(x.shape[1], 1)
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value = F.binary_cross_entropy_with_logits(network(x).squeeze(1), t)
        value = value + 1e-4 * network.weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return network


def _fit_mlp(x: Tensor, t: Tensor) -> nn.Module:
    """Adam until the loss on a held-out part no longer falls; the best weights, in evaluation mode."""
    layers = nn.Linear(x.shape[1], 256), nn.ReLU(), nn.Dropout(0.1), nn.Linear(256, 256), nn.ReLU()
    network = nn.Sequential(*layers, nn.Linear(256, 1))
    order = torch.randperm(len(x))
    held = max(1, round(HELD_OUT * len(x)))
    x_held, t_held = x[order[:held]], t[order[:held]]
    x, t = x[order[held:]], t[order[held:]]
    batch = min(512, max(16, len(x) // 32))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-4)
    best, best_loss, waited = copy.deepcopy(network.state_dict()), math.inf, 0
    for _ in range(MAX_EPOCHS):
        network.train()
        for rows in torch.split(torch.randperm(len(x)), batch):
            loss = F.binary_cross_entropy_with_logits(network(x[rows]).squeeze(1), t[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        with torch.no_grad():
            held_loss = F.binary_cross_entropy_with_logits(network(x_held).squeeze(1), t_held).item()
        if held_loss < best_loss - 1e-4:
            best, best_loss, waited = copy.deepcopy(network.state_dict()), held_loss, 0
        else:
            waited += 1
            if waited >= PATIENCE:
                break
    network.load_state_dict(best)
    return network.eval()
