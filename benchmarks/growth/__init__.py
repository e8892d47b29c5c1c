"""Cost against size: what each input, and what surrounds them, takes as it grows."""
