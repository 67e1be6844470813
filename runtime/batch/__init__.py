"""Photos and videos, one file after the other: what to do, where results go, what became of each."""
