"""What a prompt asks for: its quoted text and its language; and how a file of prompts is read."""
