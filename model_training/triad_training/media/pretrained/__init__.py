"""Encoders that others have trained: where a source lies, its format, what of it learns."""
