"""What a prompt asks for: its quoted text and its language; and how a file of prompts is read."""

from rewardkit.prompts.files import COLUMNS, Prompt, Rows, read_prompts
from rewardkit.prompts.language import Language, has_hangul, language
from rewardkit.prompts.quotes import has_text, quoted, wanted_text, without_quotes

__all__ = [
    "COLUMNS",
    "Language",
    "Prompt",
    "Rows",
    "has_hangul",
    "has_text",
    "language",
    "quoted",
    "read_prompts",
    "wanted_text",
    "without_quotes",
]
