"""Offline: a table of examples in, a table of predictions out."""
