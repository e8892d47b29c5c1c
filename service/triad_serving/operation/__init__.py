"""Running the service on a machine."""
