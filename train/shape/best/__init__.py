"""The trained model of shape and appearance."""
