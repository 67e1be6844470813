"""Edits of shape and appearance: the photo itself is moved and tinted."""
