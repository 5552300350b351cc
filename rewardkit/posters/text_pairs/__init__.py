"""Pairs of one poster with right and wrong text, in any fonts and language, as training data for text rewards."""
