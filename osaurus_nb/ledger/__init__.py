"""What was spent, written down before and after each call: metered once, encrypted, and without a word of content."""
