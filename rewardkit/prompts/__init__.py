"""The quoted text and the language of a prompt, and readers of prompt files."""

from rewardkit.prompts.checks import check_prompts
from rewardkit.prompts.files import COLUMNS, Prompt, Rows, as_prompts, read_prompts
from rewardkit.prompts.language import Language, has_hangul, language
from rewardkit.prompts.quotes import Quote, has_text, quoted, quotes, wanted_text, without_quotes
from rewardkit.prompts.sample import evenly

__all__ = [
    "COLUMNS",
    "Language",
    "Prompt",
    "Quote",
    "Rows",
    "as_prompts",
    "check_prompts",
    "evenly",
    "has_hangul",
    "has_text",
    "language",
    "quoted",
    "quotes",
    "read_prompts",
    "wanted_text",
    "without_quotes",
]
