"""The paper's tables and figures: which systems, under which budget, by which measures."""
