"""Where a face is and what belongs to it: dense landmarks, the texture frame, the hair matte."""
