"""Recipes that `benchmarks/wind_tunnel.py` compares, each as options of `rewardkit refl`.

`ours` is `rewardkit refl` with only a learning rate, `demo` what `rewardkit demo` runs (a test compares the two). The
seven after them change only the demo's objective; the window is then the objective's default. The last three are
published recipes as far as our options can express them. Batch, learning rate, warm-up and clipping are the same for
all: the published ones are for models a thousand times as large.
"""

from typing import Any

OPTIMISER = {"lr": 1e-3}
DEMO = OPTIMISER | {"weights": {"text": 2.0}, "targets": {"aesthetic": 0.2, "alignment": 1.5, "text": 2.0}}
WITH_KL = DEMO | {"kl": 1.0}

BARE = OPTIMISER | {"kl": 0.0, "ema": 0.0, "augment": 0.0}
"""What the published recipes do not have."""
ENDLESS = {"targets": {"aesthetic": 100.0, "alignment": 100.0, "text": 100.0}}
"""No hinge: a target that no image reaches."""

RECIPES: dict[str, dict[str, Any]] = {
    "ours": OPTIMISER,
    "demo": DEMO,
    "draft-k 1": WITH_KL | {"objective": "draft-k", "grad_steps": 1},
    "draft-k 2": WITH_KL | {"objective": "draft-k", "grad_steps": 2},
    "draft-lv": WITH_KL | {"objective": "draft-lv", "noises": 2},
    "direct-align": WITH_KL | {"objective": "direct-align"},
    "drtune": WITH_KL | {"objective": "drtune", "grad_steps": 2},
    "nft": WITH_KL | {"objective": "nft", "group": 4, "noises": 2},
    "flow-grpo": DEMO | {"objective": "flow-grpo", "group": 4, "grad_steps": 4},  # with kl 1 it learns nothing
    # One step of the last quarter, relu(2 - r), no penalty (ReFL.py of ImageReward). Its one
    # reward stands for overall preference; here that is all heads with equal weight.
    "ImageReward": BARE | {"window": (0.75, 1.0)},
    # A graph through the last K steps, K sampled for every update, no target (AlignProp, "uniform").
    "AlignProp": BARE | ENDLESS | {"objective": "alignprop"},
    # Four steps, a graph through the last, a LoRA of twice the rank and scale 2 (UniRL's sd3_pickscore_refl).
    "UniRL": BARE | ENDLESS | {"objective": "draft-k", "grad_steps": 1, "steps": 4, "rank": 32, "alpha": 64.0},
}

OWN = ("ours", "demo")

PUBLISHED = ("ImageReward", "AlignProp", "UniRL")
