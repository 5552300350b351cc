"""Every family once, and the prompts that all are asked."""

import pytest

from rewardkit.diffusion.tiny.families import TINY
from rewardkit.diffusion.tiny.family import TinyFamily

PROMPTS = ['a red circle, "SALE"', "a blue square beside it"]


@pytest.fixture(params=TINY)
def family(request: pytest.FixtureRequest) -> TinyFamily:
    return TINY[request.param]


@pytest.fixture
def prompts() -> list[str]:
    return list(PROMPTS)
