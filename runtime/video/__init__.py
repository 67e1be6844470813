"""Reading, editing and writing films."""
