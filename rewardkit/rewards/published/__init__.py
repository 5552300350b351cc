"""Published scorers, one file each, on current torch and transformers; see docs/scorers.md.

Each is a `Scorer`: `score` takes tensors and has a gradient to the pixels, `score_pil` takes PIL images and
preprocesses them as the published code does. Weights come from a file, a folder or a hub id; they are never unpickled,
and must match exactly.
"""
