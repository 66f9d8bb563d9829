"""Who may use our endpoint: issued keys and what they open. Pure rules and a store in memory."""
