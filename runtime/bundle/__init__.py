"""The deployable unit: manifest, graphs, loading and verification."""
