"""The point of the method: with L_aux a fresh probe of z is left guessing, without it the probe reads y."""

import numpy as np
import pytest
import torch

from aif.train.config import override
from aif.train.data.batch import evaluation_batches
from aif.train.data.cache import cached
from aif.train.data.synthetic import SyntheticFaces
from aif.train.evaluators.probe import probe
from aif.train.presets import WHOLE
from aif.train.training.loop import LoopOptions, train
from aif.train.training.run import load_run

ATTRIBUTE = "Wearing_Hat"
SMALL = [
    *("network.width=8", "network.latent_size=8", "network.aux_hidden=128", "optimiser.learning_rate=0.001"),
    *("data.flip=false", "data.jitter=0", "objective.aux_ramp_steps=50", "precision=32-true", "steps=80"),
    *("freeze.edit_class=0", "freeze.edit_keep=0", "freeze.delta=0", "freeze.game_steps=200"),
    "freeze.game_weight=1",
    f'data.attributes=["{ATTRIBUTE}"]',
]
WITHOUT = ["objective.aux_weight=0", "freeze.game_weight=0"]


def codes(run, faces):
    """Posterior means, and the mean absolute error of reconstructions."""
    found, error = [], []
    for batch in evaluation_batches(faces, 64, 100):
        image = batch.images.float() / 255
        with torch.no_grad():
            code = run.encoder(image)
            error.append((run.decoder(code.mean, code.y) - image).abs().mean().item())
        found.append(code.mean.numpy())
    return np.concatenate(found), float(np.mean(error))


@pytest.mark.slow
def test_l_aux_and_only_l_aux_takes_the_attribute_out_of_z(tmp_path):
    faces = cached(SyntheticFaces(1500, attributes=(ATTRIBUTE,)), tmp_path)
    held_out = cached(SyntheticFaces(500, attributes=(ATTRIBUTE,), first=100_000), tmp_path)
    options = LoopOptions(accelerator="cpu", workers=0, cache=False, sample_every=0)
    accuracy, error = {}, {}
    for name, changes in (("with", []), ("without", WITHOUT)):
        config = override(WHOLE, [*SMALL, *changes])
        train(config, tmp_path / name, faces, held_out, options)
        run = load_run(tmp_path / name)
        z_train, _ = codes(run, faces)
        z_val, error[name] = codes(run, held_out)
        for kind in ("linear", "mlp"):
            result = probe(z_train, faces.labels[:, 0], z_val, held_out.labels[:, 0], kind=kind)
            accuracy[name, kind] = result.accuracy
            majority = result.majority_rate
    print(f"probe accuracy {accuracy}, majority {majority:.3f}, reconstruction {error}")
    assert accuracy["without", "linear"] > majority + 0.2
    assert accuracy["without", "mlp"] > majority + 0.35
    assert accuracy["with", "linear"] < majority + 0.05
    assert accuracy["with", "mlp"] < majority + 0.1
    assert error["with"] < 1.5 * error["without"]  # z still describes the face
