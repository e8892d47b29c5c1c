"""From raw media to a prediction: batches, models, the engine."""
