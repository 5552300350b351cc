"""Base models behind four verbs, sampling, LoRA, gradient checkpointing."""
