"""Edits of models without landmarks: a decoded face crop blended into the photo."""
