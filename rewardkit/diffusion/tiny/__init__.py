"""Real diffusers pipelines with a few thousand random weights, in memory, for tests."""
