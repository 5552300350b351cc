"""LoRA: attach, switch off, save, load."""
