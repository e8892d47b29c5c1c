"""How a model gets smaller."""
