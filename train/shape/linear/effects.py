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

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aif.train.shape.linear.networks import POSE_COMPONENTS, LinearDecoder, regressors

ALIKE = 0.5
"""r: the share of the unexplained variance that is taken to be the person's."""

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
    solved = solve(*moments(within(known, people), known, goal), len(x), ridge)
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


def moments(star: Tensor, x: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """sum x* x' (F, F) and sum x* y' (F, D), in float64."""
    star = star.double()
    return star.T @ x.double(), (star.float().T @ goal).double()


def solve(xx: Tensor, xy: Tensor, count: int, ridge: float) -> Tensor:
    """Coefficients (F, D), float32; the first regressor is 1 and has no penalty."""
    penalty = ridge * count * torch.ones(len(xx), dtype=torch.float64, device=xx.device)
    penalty[0] = 0
    solved: Tensor = torch.linalg.solve(xx + torch.diag(penalty), xy)
    return solved.float()
