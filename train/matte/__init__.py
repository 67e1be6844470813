"""The hair matte network."""
