"""The language of a prompt, detected from its script."""

import re
from typing import Literal

from rewardkit.prompts.quotes import without_quotes

Language = Literal["en", "zh", "ko", "ja", "other"]

_HANGUL = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")
_KANA = re.compile(r"[\u3041-\u30ff\u31f0-\u31ff]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+")


def has_hangul(text: str) -> bool:
    """Return whether a text contains Korean letters."""
    return bool(_HANGUL.search(text))


def language(prompt: str) -> Language:
    """Detect the language of a prompt from its script, ignoring quoted text unless there is nothing else.

    Latin script counts as "en" (French or German are not distinguished from it); other scripts are "other".
    """
    text = without_quotes(prompt)
    if not any(character.isalpha() for character in text):
        text = prompt
    words = len(_LATIN_WORD.findall(text))
    hangul, kana, han = (len(script.findall(text)) for script in (_HANGUL, _KANA, _HAN))
    # A Korean or Chinese character is about half a word.
    if max(hangul, kana + han) < max(2 * words, 1):
        return "en" if words else "other"
    if hangul > kana + han:
        return "ko"
    return "ja" if kana else "zh"
