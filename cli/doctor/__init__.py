"""aif doctor."""
