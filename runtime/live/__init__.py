"""Cameras, the live loop, its window and what it records."""
