"""From what a model hears at each moment of a sound to the symbols that were said."""
