"""Repositories for Triton Inference Server."""
