"""Algorithm 1 of the paper, and its losses."""
