"""Which candidates, in which order, and the walk along them. Decides apart from calling."""
