"""Measures of edits on held-out faces."""
