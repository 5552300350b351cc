"""Captions of a scene in English, Chinese or Korean, long as in training or short as users write, and their parser.

The parser tells a judge what a prompt asks for. It finds the world's words outside quotes, so it understands any
wording of them, including a rewriter's; attributes that are not stated are `None`.
"""

import re
from collections.abc import Mapping

from torch import Generator

from rewardkit.posters.scene import CHOICES, Scene, chance, pick
from rewardkit.prompts import quoted, without_quotes

LANGUAGES = ("en", "zh", "ko")

WORDING: dict[str, dict[str, dict[str, str]]] = {
    "en": {name: {choice: choice for choice in choices} for name, choices in CHOICES.items()},
    "zh": {
        "shape": {"circle": "圆形", "square": "方块", "triangle": "三角形", "star": "星星"},
        "colour": {
            **{"red": "红色", "orange": "橙色", "yellow": "黄色"},
            **{"green": "绿色", "blue": "蓝色", "purple": "紫色"},
        },
        "position": {"left": "左边", "centre": "中间", "right": "右边"},
        "size": {"small": "小", "large": "大"},
        "background": {"white": "白色", "grey": "灰色", "navy": "藏青", "mint": "薄荷色"},
        "finish": {"vivid": "鲜艳", "muted": "柔和"},
    },
    "ko": {
        "shape": {"circle": "원", "square": "사각형", "triangle": "삼각형", "star": "별"},
        "colour": {
            **{"red": "빨간", "orange": "주황", "yellow": "노란"},
            **{"green": "초록", "blue": "파란", "purple": "보라"},
        },
        "position": {"left": "왼쪽", "centre": "가운데", "right": "오른쪽"},
        "size": {"small": "작은", "large": "큰"},
        "background": {"white": "흰색", "grey": "회색", "navy": "남색", "mint": "민트색"},
        "finish": {"vivid": "선명한", "muted": "부드러운"},
    },
}

LONG: dict[str, tuple[str, ...]] = {
    "en": (
        "A poster with a {size} {colour} {shape} on the {position}, on a {background} background, in {finish} colours",
        "A {size} {colour} {shape} on the {position} of a poster, {finish} colours, {background} background",
    ),
    "zh": ("海报{position}有一个{size}{colour}{shape}，{background}背景，色彩{finish}",),
    "ko": ("{background} 배경의 포스터, {position}에 {size} {colour} {shape}, {finish} 색감",),
}
LONG_TEXT = {"en": ', with the text "{text}".', "zh": "，文字是“{text}”。", "ko": ', 글자 "{text}".'}
LONG_END = {"en": ".", "zh": "。", "ko": "."}


def long_caption(scene: Scene, language: str = "en", generator: Generator | None = None) -> str:
    """Describe a whole scene as training captions do: every attribute, then the text if there is one.

    With a generator the wording varies; without one the first wording is used.
    """
    patterns = LONG[language]
    pattern = patterns[0] if generator is None else pick(patterns, generator)
    words = {name: WORDING[language][name][value] for name, value in scene.stated().items() if name != "text"}
    missing = CHOICES.keys() - words.keys()
    if missing:
        raise ValueError(f"a long caption states every attribute; this scene leaves out {', '.join(sorted(missing))}")
    return pattern.format(**words) + (LONG_TEXT[language].format(text=scene.text) if scene.text else LONG_END[language])


def short_caption(scene: Scene, language: str = "en") -> str:
    """Describe the stated attributes of a scene as users do: a few words, then the text in quotes."""
    stated = {name: WORDING[language][name][value] for name, value in scene.stated().items() if name != "text"}
    place = {"en": "on the {}", "zh": "在{}", "ko": "{}에"}[language]
    ground = {"en": "{} background", "zh": "{}背景", "ko": "{} 배경"}[language]
    words = [stated[name] for name in ("finish", "size", "colour", "shape") if name in stated]
    words += [place.format(stated["position"])] if "position" in stated else []
    words += [ground.format(stated["background"])] if "background" in stated else []
    quote = {"en": '"{}"', "zh": "“{}”", "ko": '"{}"'}[language]
    words += [quote.format(scene.text)] if scene.text else []
    return ("" if language == "zh" else " ").join(words)


def shorten(scene: Scene, generator: Generator) -> Scene:
    """Drop what users omit: keep the shape and the text, usually the colour, seldom the rest."""
    keep = {"colour": 0.85, "position": 0.25, "size": 0.15, "background": 0.1, "finish": 0.0}
    return scene.without(*(name for name, probability in keep.items() if not chance(probability, generator)))


def parse(prompt: str) -> Scene:
    """Parse what a prompt asks for; attributes that are not stated are `None`, the text is its first quote."""
    texts = quoted(prompt)
    plain = without_quotes(prompt).lower()
    found = {name: _find(name, plain) for name in CHOICES}
    return Scene(**found, text=texts[0] if texts else None)


def _find(name: str, plain: str) -> str | None:
    """Find the first known word for one attribute, in any of the languages."""
    hits = [
        (match.start(), choice)
        for language in LANGUAGES
        for choice, word in WORDING[language][name].items()
        if (match := re.search(_pattern(language, name, word), plain))
    ]
    return min(hits)[1] if hits else None


def _pattern(language: str, name: str, word: str) -> str:
    if language == "en":
        return rf"\b{word}(?=\s+background\b)" if name == "background" else rf"\b{word}s?\b"
    if name == "background":
        return rf"{word}(?=\s*(?:背景|배경))"
    if word in {"大", "小"}:
        return rf"{word}(?=[红橙黄绿蓝紫圆方三星的])"
    return rf"(?<![가-힣]){word}" if language == "ko" else word


def vocabulary() -> Mapping[str, tuple[str, ...]]:
    """All words of the captions by language, for building a tokenizer."""
    return {
        language: tuple(word for table in WORDING[language].values() for word in table.values())
        for language in LANGUAGES
    }
