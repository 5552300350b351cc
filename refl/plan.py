"""`rewardkit refl --plan CARD`: the memory and time of this exact run, without loading weights."""

from pathlib import Path

from refl.config import ReflConfig
from refl.objectives.objective import new_objective
from rewardkit.errors import UserError
from rewardkit.plan.check import check_card
from rewardkit.plan.command import show
from rewardkit.plan.config import PlanConfig
from rewardkit.plan.towers import encoder


def show_plan(config: ReflConfig) -> None:
    """Print the plan of a run; rewards of unknown backbone are listed and left out."""
    rewards = dict.fromkeys(spec.partition("#")[0] for spec in config.rewards)
    known = [backbone for spec in rewards if (backbone := backbone_of(spec)) is not None]
    check_card(config.plan)
    show(planned(config, known))
    left_out = [spec for spec in rewards if backbone_of(spec) is None]
    if left_out:
        print(f"Not counted: {', '.join(left_out)} (unknown backbone); `rewardkit plan --rewards` counts named ones.")


def planned(config: ReflConfig, backbones: list[str]) -> PlanConfig:
    """The equivalent options of `rewardkit plan`."""
    return PlanConfig(
        base=config.base,
        rewards=tuple(backbones),
        batch_size=config.batch_size,
        updates=config.updates,
        steps=config.steps,
        grad_steps=new_objective(config).passes(config.steps),
        guidance=config.guidance,
        window_guidance=config.window_guidance,
        rank=config.rank,
        target_modules=config.target_modules,
        ema=bool(config.ema),
        save_memory=config.save_memory,
        dtype="bfloat16" if config.dtype == "auto" else config.dtype,  # a plan is for a GPU
        card=config.plan,
        text_encoders=config.text_encoders,
    )


def backbone_of(spec: str) -> str | None:
    """The backbone to plan a reward with; None if unknown."""
    name = spec if Path(spec).is_dir() else spec.partition(":")[0]
    try:
        encoder(name)
    except UserError:
        return None
    return name
