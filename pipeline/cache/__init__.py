"""Finished speech that a repeated request can have at once."""
