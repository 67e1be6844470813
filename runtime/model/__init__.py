"""Encoder and decoder of a bundle, on whichever engine."""
