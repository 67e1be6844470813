"""VAE (Kingma and Welling, 2014), beta-VAE (Higgins et al., 2017) and DIP-VAE (Kumar et al., 2018)."""

from __future__ import annotations

from aif.train.algorithm import losses
from aif.train.algorithm.update import Losses, StepBatch, TrainState, detached, gathered, minimise
from aif.train.objectives import Vae


def vae_step(state: TrainState, batch: StepBatch, o: Vae) -> Losses:
    """One iteration: the evidence lower bound with beta L_KL, and what DIP-VAE adds.

    The decoder knows no y; y is predicted linearly from the posterior mean, which that does not move.
    """
    image, fabric = batch.image, state.fabric
    encoder, decoder = state.networks.encoder, state.networks.decoder
    found: Losses = {}
    with fabric.autocast():
        code = encoder(image)
        z = code.sample(batch.noise.z)
        found["rec"] = losses.reconstruction(decoder(z, code.y), image, "bce")
        found["kl"] = losses.kl_divergence(code.mean, code.log_variance)
        found["class"] = losses.classification(code.y_logits, batch.y)
        loss = image[0].numel() * found["rec"] + o.beta * z.shape[1] * found["kl"]
        loss = loss + o.rho * found["class"]
        if o.dip_off > 0 or o.dip_diagonal > 0:
            mean, log_variance = (gathered(t.float(), fabric) for t in (code.mean, code.log_variance))
            found["dip_off"], found["dip_diagonal"] = losses.disentangled_prior(mean, log_variance, o.dip)
            loss = loss + o.dip_off * found["dip_off"] + o.dip_diagonal * found["dip_diagonal"]
    minimise(state, loss, state.optimisers.autoencoder, [encoder, decoder])
    return detached(found)
