"""What attributes do to faces, apart from who has them: ridge regressions within people.

    person g with n faces:   x* = x - w mean_g(x),   w = n r / (1 + (n - 1) r)
    b = (sum x* x' + penalty)^-1 sum x* y'

Smiling people differ from others in more than the smile: more of them are women, with make-up. Between two
faces of one person the smile is most of the difference. So a share of what people's own means tell is left
out, as in regressions with a random intercept for each person; of attributes that a person has in all photos,
as Male, enough is left.

Source: generalised least squares of random effects (Laird and Ware, 1982).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.runtime.arrays import Float32Array
from aif.runtime.editing.shape.detail import SHARE, SIGMAS
from aif.runtime.editing.shape.gain import EPSILON, LUMA
from aif.train.shape.faces.textures import Textures
from aif.train.shape.linear.networks import POSE_COMPONENTS, LinearDecoder, regressors

ALIKE = 0.5
"""r: the share of the unexplained variance that is taken to be the person's."""

DETAIL_FACES = 12_000
"""Faces that detail is fitted to, at the most."""

AROUND = 3.0
"""A band's energy is averaged over so many pixels of a 128 px texture."""

LEAST = 1e-5
"""Energies, squared log units, below this are noise."""

People = npt.NDArray[np.int64]


def within(x: Tensor, people: People | None) -> Tensor:
    """x* of x (N, F), given the numbers (N,) of the people; None = x itself, a plain regression."""
    if people is None:
        return x
    _, who, faces = np.unique(people, return_inverse=True, return_counts=True)
    index, n = torch.from_numpy(who).to(x.device), torch.from_numpy(faces).to(x)[:, None]
    total = torch.zeros(len(n), x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, index, x)
    shrunk = total / n * (n * ALIKE / (1 + (n - 1) * ALIKE))
    return x - shrunk[index]


def regress(layer: nn.Linear, x: Tensor, goal: Tensor, ridge: float, people: People | None = None) -> None:
    """Ridge regression with intercept: layer(x) = goal, for x (N, F), goal (N, D)."""
    known = F.pad(x, (1, 0), value=1.0)
    star = within(known, people).double()
    solved = solve(star.T @ known.double(), (star.float().T @ goal).double(), len(x), ridge)
    layer.weight.copy_(solved[1:].T)
    layer.bias.copy_((goal - x @ solved[1:]).mean(0))


def regress_landmarks(
    layer: nn.Linear, known: tuple[Tensor, Tensor], points: Tensor, ridge: float, people: People | None
) -> None:
    """Set `layer` to landmarks (N, 442) as a linear function of `regressors(z, y)`.

    What y does comes first, within people and whatever z is; what is left is z's.
    """
    z, y = known
    # The pose beside it: else what y does to turned faces would be made of what turning does.
    posed = regressors(z[:, :POSE_COMPONENTS], y)
    effect, rest = (nn.Linear(x.shape[1], points.shape[1], device=z.device) for x in (posed, z))
    regress(effect, posed, points, ridge, people)
    regress(rest, z, points - effect(posed), ridge)
    rest.weight[:, :POSE_COMPONENTS] += effect.weight[:, :POSE_COMPONENTS]
    layer.weight.copy_(torch.cat([rest.weight, effect.weight[:, POSE_COMPONENTS:]], dim=1))
    layer.bias.copy_(rest.bias + effect.bias)


def fit_maps(
    decoder: LinearDecoder,
    y: Tensor,
    opened: Tensor,
    textures: Iterable[tuple[Tensor, Tensor]],
    ridge: float,
    people: People | None,
) -> None:
    """Set the attributes' maps of the texture; inside the mouth they are fitted on open mouths alone.

    Args:
        y: (N, A) of all faces.
        opened: bool (N,) whose mouths are open.
        textures: batches, in order: log textures without the tone, (n, 3, S, S), and what z says of them.
        people: (N,) numbers of the people.
    """
    known = F.pad(y, (1, 0), value=1.0)
    kinds = (torch.ones_like(opened), opened)
    star = [torch.zeros_like(known), torch.zeros_like(known)]
    for x, rows in zip(star, kinds, strict=True):
        x[rows] = within(known[rows], None if people is None else people[rows.cpu().numpy()])
    width = decoder.fine.out_features
    xy = [torch.zeros(known.shape[1], width, dtype=torch.float64, device=y.device) for _ in kinds]
    rests = [torch.zeros(width, dtype=torch.float64, device=y.device) for _ in kinds]
    first = 0
    for texture, said in textures:
        part = slice(first, first := first + len(texture))
        for k, rows in enumerate(kinds):
            here = rows[part]
            xy[k] += (star[k][part][here].T @ texture[here].flatten(1)).double()
            rests[k] += (texture - said)[here].flatten(1).sum(dim=0).double()
    mouth = decoder.mouth.expand(1, 3, -1, -1).reshape(-1)
    weights, biases = [], []
    for k, rows in enumerate(kinds):
        xx = star[k][rows].double().T @ known[rows].double()
        effect = solve(xx, xy[k], int(rows.sum()), ridge)[1:]
        weights.append(effect)
        biases.append(rests[k].float() / rows.sum() - y[rows].mean(0) @ effect)
    decoder.fine.weight.copy_((weights[0] * (1 - mouth) + weights[1] * mouth).T)
    decoder.fine.bias.copy_(biases[0] * (1 - mouth) + biases[1] * mouth)


def fit_detail(
    decoder: LinearDecoder, faces: Textures, some: npt.NDArray[np.int64], times: float, ridge: float
) -> None:
    """Set `decoder.detail`: a regression of the log energy of fine bands on y, over `some` of the faces.

    Labels are noisy and folds run elsewhere in everybody, so that means shrink: what is decoded is so many
    `times` what was measured.
    """
    rows = some[:: max(1, len(some) // DETAIL_FACES)]
    brightness = np.empty((len(rows), 1), dtype=np.float32)
    energy = np.empty((len(rows), decoder.detail.out_features), dtype=np.float32)
    for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 500)):
        logs = np.log(faces.images[rows[part]].astype(np.float32) / 255 @ LUMA + np.float32(EPSILON))
        brightness[part, 0] = logs.mean(axis=(1, 2))
        energy[part] = [log_energies(luma).ravel() for luma in logs]
    known = torch.from_numpy(np.concatenate([faces.labels[rows], brightness], axis=1, dtype=np.float32))
    effect = nn.Linear(known.shape[1], energy.shape[1])
    with torch.no_grad():
        regress(effect, known, torch.from_numpy(energy), ridge, faces.people_of(rows))
        decoder.detail.weight.copy_(times / 2 * effect.weight[:, :-1])


def log_energies(log_luma: Float32Array) -> Float32Array:
    """Log energy of a texture's bands, (3, S/4, S/4), of its log luminance (S, S)."""
    scale = len(log_luma) / 128
    side = len(log_luma) // SHARE
    blurred = [log_luma, *(cv2.GaussianBlur(log_luma, (0, 0), sigma * scale) for sigma in SIGMAS)]
    found = []
    for fine, coarse in pairwise(blurred):
        energy = cv2.GaussianBlur((fine - coarse) ** 2, (0, 0), AROUND * scale)
        found.append(cv2.resize(np.log(energy + LEAST), (side, side), interpolation=cv2.INTER_AREA))
    return np.stack(found)


def solve(xx: Tensor, xy: Tensor, count: int, ridge: float) -> Tensor:
    """Coefficients (F, D), float32, of sum x* x' (F, F) and sum x* y' (F, D), float64; the first regressor is
    1 and has no penalty."""
    penalty = ridge * count * torch.ones(len(xx), dtype=torch.float64, device=xx.device)
    penalty[0] = 0
    solved: Tensor = torch.linalg.solve(xx + torch.diag(penalty), xy)
    return solved.float()
