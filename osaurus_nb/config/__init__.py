"""Where things are and what the user set: read once, passed on as values."""
