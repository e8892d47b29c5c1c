"""An explanation as a page."""
