"""`rewardkit refl --plan CARD`: what this very run will need, said before anything is loaded."""

from pathlib import Path

from refl.config import ReflConfig
from refl.objectives.objective import new_objective
from rewardkit.errors import UserError
from rewardkit.plan.check import check_card
from rewardkit.plan.command import show
from rewardkit.plan.config import PlanConfig
from rewardkit.plan.towers import encoder


def show_plan(config: ReflConfig) -> None:
    """Print the plan of a run; rewards whose backbone cannot be told from names and files are named and left out."""
    rewards = dict.fromkeys(spec.partition("#")[0] for spec in config.rewards)
    known = [backbone for spec in rewards if (backbone := backbone_of(spec)) is not None]
    check_card(config.plan)
    show(planned(config, known))
    left_out = [spec for spec in rewards if backbone_of(spec) is None]
    if left_out:
        print(
            f"Not counted: {', '.join(left_out)}, of unknown backbone; `rewardkit plan --rewards` counts any you name."
        )


def planned(config: ReflConfig, backbones: list[str]) -> PlanConfig:
    """The options of `rewardkit plan` that say the same."""
    return PlanConfig(
        base=config.base, rewards=tuple(backbones), batch_size=config.batch_size, updates=config.updates,
        steps=config.steps, grad_steps=new_objective(config).passes(config.steps),
        guidance=config.guidance, window_guidance=config.window_guidance, rank=config.rank,
        target_modules=config.target_modules, ema=bool(config.ema), save_memory=config.save_memory,
        dtype="bfloat16" if config.dtype == "auto" else config.dtype,  # a plan is for a card
        card=config.plan, text_encoders=config.text_encoders,
    )  # fmt: skip


def backbone_of(spec: str) -> str | None:
    """What to plan a reward by; none where it cannot be told."""
    name = spec if Path(spec).is_dir() else spec.partition(":")[0]
    try:
        encoder(name)
    except UserError:
        return None
    return name
