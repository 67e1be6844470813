"""Reading and writing pictures."""
