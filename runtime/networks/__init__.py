"""ONNX Runtime: providers, sessions, threads."""
