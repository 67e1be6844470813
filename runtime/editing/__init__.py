"""How an edit becomes part of the photo."""
