"""Many pictures on many machines, with Ray Data."""
