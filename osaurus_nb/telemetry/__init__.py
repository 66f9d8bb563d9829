"""Who watches streams: counts of them and traces. Neither a prompt nor an answer is ever read here."""
