"""Programs that measure. Run them as modules from the root: `python -m benchmarks.serving`."""
