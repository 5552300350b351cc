"""Recipes that run many commands: demo, rounds, the seedling build, poster data."""
