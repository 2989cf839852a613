"""The recipe of the pronunciation tables and of the polyphone and pause model."""
