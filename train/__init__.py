"""Data, networks, objectives, the training loop and evaluation (PyTorch)."""
