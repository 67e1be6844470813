"""The linear baseline."""
