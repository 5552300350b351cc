"""`rewardkit plan`: expected memory and time of a ReFL run, only from configuration files."""

from rewardkit.io.files import write_json
from rewardkit.plan.advice import climb
from rewardkit.plan.check import check
from rewardkit.plan.config import PlanConfig
from rewardkit.plan.planner import Planner
from rewardkit.plan.report import as_json, text


def plan(config: PlanConfig) -> None:
    """Check the options and print the plan."""
    check(config)
    show(config)


def show(config: PlanConfig) -> None:
    """Print a plan, and write it to `out` if given."""
    planner = Planner(config)
    planned = planner.plan(config)
    rungs = climb(planner, planned)
    print(text(planned, rungs))
    if config.out is not None:
        write_json(config.out, as_json(planned, rungs))
