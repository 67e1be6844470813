"""aif eval."""
