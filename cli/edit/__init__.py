"""aif edit: photos and films."""
