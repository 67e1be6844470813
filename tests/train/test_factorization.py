"""The point of the method: with L_aux a fresh probe of z is left guessing, without it the probe reads y."""

import numpy as np
import pytest
import torch

from aif.train.config import override
from aif.train.data.cache import cached
from aif.train.data.loader import evaluation_batches
from aif.train.data.synthetic import SyntheticFaces
from aif.train.loop import LoopOptions, train
from aif.train.presets import AUTHORS
from aif.train.probe import probe
from aif.train.run import TrainedRun, load_run

ATTRIBUTE = "Wearing_Hat"
SETTINGS = [
    *("network.width=8", "network.latent_size=8", "network.aux_hidden=128"),
    *("objective.rec_loss=l1", "objective.reduction=mean", "objective.rec_weight=20"),
    *("objective.alpha=0.02", "objective.rho=1", "objective.delta=0", "objective.detach_y_trunk=false"),
    *("objective.aux_target=prior", "objective.aux_input=mean", "objective.aux_steps=2"),
    *("objective.aux_ramp_steps=50", "optimiser.name=adam", "optimiser.learning_rate=0.001"),
    *("steps=300", f'data.attributes=["{ATTRIBUTE}"]'),
]


def codes(run: TrainedRun, faces) -> tuple[np.ndarray, float]:
    """Posterior means, and the mean absolute error of reconstructions."""
    found, error = [], []
    for batch in evaluation_batches(faces, 64, 100):
        image = batch.images.float() / 255
        with torch.no_grad():
            code = run.encoder(image)
            error.append((run.decoder(code.mean, code.y, code.features) - image).abs().mean().item())
        found.append(code.mean.numpy())
    return np.concatenate(found), float(np.mean(error))


@pytest.mark.slow
def test_l_aux_and_only_l_aux_takes_the_attribute_out_of_z(tmp_path):
    faces = cached(SyntheticFaces(1500, attributes=(ATTRIBUTE,)), tmp_path)
    held_out = cached(SyntheticFaces(500, attributes=(ATTRIBUTE,), first=100_000), tmp_path)
    options = LoopOptions(accelerator="cpu", workers=0, cache=False, sample_every=0)
    accuracy, error = {}, {}
    for weight in (0.0, 3.0):
        config = override(AUTHORS, [*SETTINGS, f"objective.aux_weight={weight}"])
        train(config, tmp_path / str(weight), faces, held_out, options)
        run = load_run(tmp_path / str(weight))
        z_train, _ = codes(run, faces)
        z_val, error[weight] = codes(run, held_out)
        for kind in ("linear", "mlp"):
            result = probe(z_train, faces.labels[:, 0], z_val, held_out.labels[:, 0], kind=kind)
            accuracy[weight, kind] = result.accuracy
            majority = result.majority_rate
    print(f"probe accuracy {accuracy}, majority {majority:.3f}, reconstruction {error}")
    assert min(accuracy[0.0, "linear"], accuracy[0.0, "mlp"]) > 0.9
    assert max(accuracy[3.0, "linear"], accuracy[3.0, "mlp"]) < majority + 0.1
    assert error[3.0] < 1.5 * error[0.0]  # z still describes the face
