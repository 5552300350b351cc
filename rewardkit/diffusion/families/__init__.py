"""One file per model family of diffusers."""
