"""Which models exist, under which names, and what is known of them. Pure."""
