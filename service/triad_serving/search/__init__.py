"""An index of embedded rows: what is stored, how the closest are found, while rows come and go."""
