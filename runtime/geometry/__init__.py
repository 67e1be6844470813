"""Landmarks, mean shape, triangles and alignment: coordinates, no pixels of a person."""
