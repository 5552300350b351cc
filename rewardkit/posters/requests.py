"""What users of the posters world ask for: random prompts, and two lists of them that share nothing."""

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
"""Draws without a new scene after which the world is said to be used up."""


@dataclass(frozen=True)
class Request:
    """A prompt, the scene it says (`None` for what it leaves open) and the scene it was made from."""

    prompt: str
    said: Scene
    scene: Scene
    language: str

    def tags(self) -> dict[str, Any]:
        """What a prompt file says beside the prompt."""
        return {"language": self.language, "style": "long" if self.said == self.scene else "short"} | self.said.said()


def random_request(generator: Generator, languages: Sequence[str], style: Style, text_share: float) -> Request:
    """Draw a scene and say it; Chinese prompts ask for Chinese text where there is a font for it."""
    language = pick(tuple(languages), generator)
    words = WORDS_ZH if language == "zh" and cjk_font() else WORDS
    scene = random_scene(generator, text_share=text_share, words=words)
    if style == "long" or (style == "mixed" and chance(0.5, generator)):
        return Request(long_caption(scene, language, generator), scene, scene, language)
    said = shorten(scene, generator)
    return Request(short_caption(said, language), said, scene, language)


def distinct_requests(
    count: int, generator: Generator, languages: Sequence[str], style: Style, text_share: float
) -> Iterator[Request]:
    """Draw requests of which no two share a scene or a prompt; raise `UserError` when the world has no more."""
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
    """Raise `UserError` for a language that the world has no words in."""
    for language in languages:
        if language not in LANGUAGES:
            raise UserError(f"no captions in language {language!r}; choose from {', '.join(LANGUAGES)}")
    if not languages:
        raise UserError(f"name one language or more: {', '.join(LANGUAGES)}")
