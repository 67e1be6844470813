"""Checkpoint to ONNX graphs, with parity checked."""
