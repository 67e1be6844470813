"""aif edit --ray."""
