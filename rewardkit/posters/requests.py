"""Random prompts of the posters world, and disjoint lists of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Generator

from rewardkit.errors import UserError
from rewardkit.posters.captions import LANGUAGES, long_caption, short_caption, shorten
from rewardkit.posters.fonts import cjk_font
from rewardkit.posters.names import Style
from rewardkit.posters.scene import WORDS, WORDS_ZH, Scene, chance, pick, random_scene

NO_CJK = "no CJK font found: Chinese text lines are left out; install e.g. fonts-noto-cjk"
PATIENCE = 200
"""Attempts without a new scene after which the world counts as exhausted."""


@dataclass(frozen=True)
class Request:
    """A prompt, the scene it states (`None` for attributes it omits) and the whole scene behind it."""

    prompt: str
    stated: Scene
    scene: Scene
    language: str

    def tags(self) -> dict[str, Any]:
        """The other columns of a prompt file."""
        return {
            "language": self.language,
            "style": "long" if self.stated == self.scene else "short",
        } | self.stated.stated()


def random_request(generator: Generator, languages: Sequence[str], style: Style, text_share: float) -> Request:
    """Sample a scene and its caption; Chinese prompts ask for Chinese text if there is a font for it."""
    language = pick(tuple(languages), generator)
    words = WORDS_ZH if language == "zh" and cjk_font() else WORDS
    scene = random_scene(generator, text_share=text_share, words=words)
    if style == "long" or (style == "mixed" and chance(0.5, generator)):
        return Request(long_caption(scene, language, generator), scene, scene, language)
    stated = shorten(scene, generator)
    return Request(short_caption(stated, language), stated, scene, language)


def distinct_requests(
    count: int, generator: Generator, languages: Sequence[str], style: Style, text_share: float
) -> Iterator[Request]:
    """Sample requests with distinct scenes and prompts; raise `UserError` if there are not enough."""
    seen: set[Scene | str] = set()
    for _ in range(count):
        for _ in range(PATIENCE):
            request = random_request(generator, languages, style, text_share)
            if request.scene not in seen and request.prompt not in seen:
                break
        else:
            raise UserError(
                f"the posters world has only about {len(seen) // 2} such prompts; ask for fewer than {count}"
            )
        seen |= {request.scene, request.prompt}
        yield request


def check_languages(languages: Sequence[str]) -> None:
    """Raise `UserError` for a language without captions."""
    for language in languages:
        if language not in LANGUAGES:
            raise UserError(f"no captions in language {language!r}; choose from {', '.join(LANGUAGES)}")
    if not languages:
        raise UserError(f"name one language or more: {', '.join(LANGUAGES)}")
