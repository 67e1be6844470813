"""What proposes where faces may be."""
