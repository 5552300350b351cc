"""The objectives and the options that they read, for the command line; nothing here imports torch.

An objective is a class in its own file (see `refl.objectives.objective`), imported when it is used.
"""

from dataclasses import dataclass
from typing import Literal

ObjectiveName = Literal["refl", "draft-k", "draft-lv", "alignprop", "direct-align", "drtune", "nft", "flow-grpo"]

TABLE: dict[ObjectiveName, str] = {
    "refl": "refl.objectives.refl:Refl",
    "draft-k": "refl.objectives.draft_k:DraftK",
    "draft-lv": "refl.objectives.draft_lv:DraftLv",
    "alignprop": "refl.objectives.alignprop:AlignProp",
    "direct-align": "refl.objectives.direct_align:DirectAlign",
    "drtune": "refl.objectives.drtune:DRTune",
    "nft": "refl.objectives.nft:Nft",
    "flow-grpo": "refl.objectives.flow_grpo:FlowGrpo",
}


@dataclass(frozen=True, kw_only=True)
class Method:
    """How rewards reach the weights."""

    objective: ObjectiveName = "refl"
    """How rewards reach the weights. Through one step (refl), the last steps (draft-k), a random number of the last
    steps (alignprop), the last step with several noises (draft-lv), a step from known noise (direct-align), or steps
    with a detached input (drtune). For rewards without a gradient: by comparing images of a prompt, re-noised (nft)
    or sampled with stochastic steps (flow-grpo)."""
    window: tuple[float, float] | None = None
    """Part of the sampling chain from which an objective samples its steps, as two fractions. By default 0.2 0.8 for
    refl, 0.5 1 for drtune, and 0 1 for alignprop, direct-align, nft and flow-grpo; unused by the others."""
    window_guidance: Literal["off", "detached", "graph"] = "detached"
    """Guidance in the steps with a gradient: none (off), a gradient through the conditional branch only (detached), or
    through both branches (graph)."""
    grad_steps: int | None = None
    """Number of steps with a gradient, for draft-k, drtune and flow-grpo. By default 2."""
    noises: int | None = None
    """Number of noises averaged per image, for draft-lv and nft. By default 2."""
    group: int | None = None
    """Number of images per prompt that are compared with each other, for nft and flow-grpo. By default 4."""
    kl: float | None = None
    """Weight of the squared distance to the velocity of the base. By default 1, but 0 for draft-k and draft-lv, because
    it would block their late steps, 0 for alignprop, and 0.01 for flow-grpo, because its gradient is weak."""
