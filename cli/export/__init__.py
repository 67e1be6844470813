"""aif export."""
