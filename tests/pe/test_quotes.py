"""Quoted text survives whatever a language model makes of it."""

import random

import pytest

from pe.quotes import keep_quotes, quotes_kept
from rewardkit.prompts import quoted

MARKS = ["''", '""', "“”", "‘’", "「」", "『』"]
WORDS = {
    "en": ["red", "circle", "it's", "don't", "7", 'a 7" disc', "SALE", "on the left,", "I.", "rock 'n' roll"],
    "zh": ["红色圆形", "海报", "，", "深蓝背景", "上方。", "促销"],
    "ko": ["빨간", "원형", "포스터", "왼쪽에", ",", "할인"],
}
TEXTS = ["SALE", "50% OFF", "促销", "할인", "it's on", "A", "new\\d+", "(x)", "  padded ", "sale", '7"', "“", ""]
NOISE = [*"'\"“”‘’「」『』 \n\\.", "", "”“", "''", '""']


def chatter(rng: random.Random) -> str:
    """Make a string of words, quoted texts and stray quote marks, in one of three languages."""
    words = WORDS[rng.choice(list(WORDS))]
    pieces = []
    for _ in range(rng.randrange(9)):
        kind = rng.random()
        if kind < 0.5:
            pieces.append(rng.choice(words))
        elif kind < 0.8:
            marks = rng.choice(MARKS)
            pieces.append(marks[0] + rng.choice(TEXTS) + marks[1])
        else:
            pieces.append(rng.choice(NOISE))
    return rng.choice(["", " "]).join(pieces)


def test_quotes_are_kept_for_three_thousand_random_pairs() -> None:
    rng = random.Random(0)
    mended = 0
    for _ in range(3_000):
        original, rewrite = chatter(rng), chatter(rng)
        kept = keep_quotes(original, rewrite)
        assert sorted(quoted(kept)) == sorted(quoted(original)), (original, rewrite, kept)
        mended += kept not in (original, rewrite)
    assert mended > 150  # the property is not met by always giving the original back


@pytest.mark.parametrize(
    ("original", "rewrite", "expected"),
    [
        ('red circle "SALE"', 'A poster with a red circle, with the text "SALE".', None),
        ('"A" and "B"', 'first "B" then "A"', None),
        ("a red circle", "A poster with a large red circle.", None),
        ('red circle "SALE"', 'A red circle with the text "SAIL".', 'A red circle with the text "SALE".'),
        ('red "A" blue "B"', 'A red "A" by a blue "C" sign.', 'A red "A" by a blue "B" sign.'),
        ('"B" "A"', 'A "x" over "y".', 'A "B" over "A".'),
        ('red circle "SALE"', "A poster with a red circle.", 'A poster with a red circle, with the text "SALE".'),
        ('"A" "B"', 'A sign "A".', 'A sign "A", with the text "B".'),
        ("红色圆形“促销”", "一张海报，上面有红色圆形。", "一张海报，上面有红色圆形，文字是“促销”。"),
        ('빨간 원 "할인"', "큰 빨간 원이 있는 포스터.", '큰 빨간 원이 있는 포스터, 글자 "할인".'),
        ("a red circle", 'A poster that says "HELLO".', "a red circle"),
        ('sign "A"', 'sign "A" and "B"', 'sign "A"'),
        ('sign "A"', 'cut short at the "SAL', 'sign "A"'),
        ('sign "A"', "", 'sign "A"'),
        ("sign 「開」", "A sign with the text “open”.", "A sign with the text 「開」."),
    ],
)
def test_what_a_rewrite_becomes(original: str, rewrite: str, expected: str | None) -> None:
    assert keep_quotes(original, rewrite) == (rewrite if expected is None else expected)


def test_kept_counts_repeats_and_ignores_order() -> None:
    assert quotes_kept('"A" "B"', "“B” ‘A’")
    assert not quotes_kept('"A" "A"', '"A"')
    assert not quotes_kept('a "Sale"', 'a "SALE"')
    assert not quotes_kept("plain", 'a "SALE"')
