"""FP16 and INT8 variants and the gates that they pass."""
