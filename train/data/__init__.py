"""Faces with attribute labels: one interface over every layout that aif reads."""
