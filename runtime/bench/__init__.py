"""Measurements of speed and steadiness."""
