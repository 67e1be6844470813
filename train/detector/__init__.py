"""Training of the network that proposes where faces are."""
