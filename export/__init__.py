"""From a training run to a deployable bundle."""
