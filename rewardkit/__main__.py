"""`python -m rewardkit` is the command `rewardkit`."""

from rewardkit.commands.cli import entry

entry()
