"""The dense landmark network."""
