"""One graph: loading, running, reading its answer."""
