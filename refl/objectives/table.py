"""Ways to learn from rewards, a file each: `estimator` picks one with a gradient, `COMPARING` are those without."""

from functools import partial

from refl.objectives.chain import Estimator
from refl.objectives.direct_align import direct_align
from refl.objectives.draft_k import draft_k
from refl.objectives.draft_lv import draft_lv
from refl.objectives.drtune import drtune
from refl.objectives.names import ObjectiveName
from refl.objectives.refl import refl

COMPARING = ("nft", "flow-grpo")
"""Objectives that compare images of a prompt, and need no gradient of a reward."""

MIDDLE, LATE, ANY = (0.2, 0.8), (0.5, 1.0), (0.0, 1.0)
WINDOWS = {"refl": MIDDLE, "drtune": LATE, "direct-align": ANY, "nft": ANY, "flow-grpo": ANY}
"""Shares of the chain a step is drawn from where the user says nothing."""

KL = {"draft-k": 0.0, "draft-lv": 0.0, "flow-grpo": 0.01}
"""Weights of the distance to the base where the user says nothing, if not 1. That of flow-grpo is about its paper's."""


def estimator(name: ObjectiveName, *, window: tuple[float, float], grad_steps: int, noises: int) -> Estimator:
    """The estimator of an objective with a gradient, its settings bound."""
    known: dict[str, Estimator] = {
        "refl": partial(refl, window=window),
        "draft-k": partial(draft_k, grad_steps=grad_steps),
        "draft-lv": partial(draft_lv, noises=noises),
        "direct-align": partial(direct_align, window=window),
        "drtune": partial(drtune, window=window, grad_steps=grad_steps),
    }
    return known[name]
