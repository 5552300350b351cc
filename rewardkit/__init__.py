"""Post-train text-to-image models to what people prefer.

The names below are imported on first use, so that `import rewardkit` (and `rewardkit --help`) needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rewardkit.diffusion.base import Base
    from rewardkit.diffusion.load import load_base
    from rewardkit.diffusion.sampler import Sampler, SamplingConfig, generate_images
    from rewardkit.errors import UserError
    from rewardkit.images import grid, list_images, load_image, save_image
    from rewardkit.prompts import Prompt, read_prompts
    from rewardkit.rewards.panel import Panel, Part
    from rewardkit.rewards.protocol import MultiReward, Reward
    from rewardkit.rewards.registry import load_reward, load_rewards
    from rewardkit.training.run import Run

__version__ = "0.1.0"

_HOMES = {
    "Base": "rewardkit.diffusion.base",
    "MultiReward": "rewardkit.rewards.protocol",
    "Panel": "rewardkit.rewards.panel",
    "Part": "rewardkit.rewards.panel",
    "Prompt": "rewardkit.prompts",
    "Reward": "rewardkit.rewards.protocol",
    "Run": "rewardkit.training.run",
    "Sampler": "rewardkit.diffusion.sampler",
    "SamplingConfig": "rewardkit.diffusion.sampler",
    "UserError": "rewardkit.errors",
    "generate_images": "rewardkit.diffusion.sampler",
    "grid": "rewardkit.images",
    "list_images": "rewardkit.images",
    "load_base": "rewardkit.diffusion.load",
    "load_image": "rewardkit.images",
    "load_reward": "rewardkit.rewards.registry",
    "load_rewards": "rewardkit.rewards.registry",
    "read_prompts": "rewardkit.prompts",
    "save_image": "rewardkit.images",
}

__all__ = [
    "Base",
    "MultiReward",
    "Panel",
    "Part",
    "Prompt",
    "Reward",
    "Run",
    "Sampler",
    "SamplingConfig",
    "UserError",
    "__version__",
    "generate_images",
    "grid",
    "list_images",
    "load_base",
    "load_image",
    "load_reward",
    "load_rewards",
    "read_prompts",
    "save_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rewardkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
