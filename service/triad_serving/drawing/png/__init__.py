"""An explanation as a picture."""
