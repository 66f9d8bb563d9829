"""Adapters to those who run models elsewhere: the one room with a network, and the one that knows the HTTP client."""
