"""The network and its graph."""
