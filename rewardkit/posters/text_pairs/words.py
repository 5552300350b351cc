"""Texts of posters by language, and the reader of a user's own list."""

from collections.abc import Mapping
from pathlib import Path

from rewardkit.errors import UserError, did_you_mean
from rewardkit.posters.scene import WORDS, WORDS_ZH
from rewardkit.prompts import read_prompts

TEXTS: Mapping[str, tuple[str, ...]] = {
    "en": (*WORDS, "GRAND OPENING", "HAPPY HOUR", "LIVE MUSIC", "NO ENTRY", "BEST PRICE", "THANK YOU"),
    "zh": (*WORDS_ZH, "热干面", "欢迎光临", "生日快乐", "春节特惠", "恭喜发财"),
    "ko": ("봄", "사랑", "커피", "서울", "할인", "음악", "영화", "환영합니다", "생일 축하", "새해 복"),
    "ja": (
        "さくら",
        "ラーメン",
        "おすし",
        "コーヒー",
        "まつり",
        "いらっしゃい",
        "ありがとう",
        "セール",
        "あき",
        "カフェ",
    ),
    "ru": ("ЖИЗНЬ", "ЦЕНА", "ШКОЛА", "СКИДКА", "МУЗЫКА", "КНИГА", "ЛЮБОВЬ", "ПИЦЦА", "ЯРМАРКА", "ДОБРО"),
    "el": ("ΨΩΜΙ", "ΦΙΛΙΑ", "ΘΕΑΤΡΟ", "ΛΟΓΟΣ", "ΓΛΥΚΑ", "ΞΕΝΙΑ", "ΣΧΟΛΗ", "ΔΩΡΟ", "ΦΩΣ", "ΨΑΡΙ"),
}
"""Language -> texts of one to a few words."""


def texts_of(language: str, words: Path | None) -> tuple[str, ...]:
    """The texts of a language, or those of the user's file; raise `UserError` for a language without texts."""
    if words is not None:
        return tuple(dict.fromkeys(prompt.text for prompt in read_prompts(words)))
    if language not in TEXTS:
        raise UserError(
            f"no built-in texts for language {language!r}; {did_you_mean(language, TEXTS)} "
            "Or pass your own with --words FILE.txt, one per line"
        )
    return TEXTS[language]


def foreign(language: str, texts: tuple[str, ...]) -> list[str]:
    """Texts that share no letter with any of `texts`, from another language and script."""
    letters = {letter.casefold() for text in texts for letter in text}
    others = [text for name, known in TEXTS.items() if name != language for text in known]
    return [text for text in others if not {letter.casefold() for letter in text} & (letters - {" "})]
