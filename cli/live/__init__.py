"""aif edit --webcam."""
