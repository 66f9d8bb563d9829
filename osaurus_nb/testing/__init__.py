"""Test doubles that we ship: what our own tests stand on, for the tests of our users."""
