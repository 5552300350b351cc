"""Raw scores to a rating scale and to probabilities."""
