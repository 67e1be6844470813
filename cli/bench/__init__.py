"""aif bench."""
