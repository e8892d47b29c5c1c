"""Triad's serving half: a bundle and raw media in, predictions and attention out. Never imports torch."""
