"""A GPU's work: the graph alone by batch size, and the service in front of it."""
