"""The shape-and-appearance model: textures and landmarks, the linear baseline, edits trained for effect."""
