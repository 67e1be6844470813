"""Faces as the shape model sees them: textures, landmarks, labels."""
