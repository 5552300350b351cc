"""ReFL: fine-tune a diffusion model through differentiable rewards."""
