"""`rewardkit demo`: the whole recipe once on the built-in base, from preference pairs to a report.

Each step is a command that anybody can run by hand; the demo prints it before it runs it. A step that is done is not
done again, so a demo that was stopped goes on where it was.
"""

from rewardkit.workflows.demo.command import DemoConfig, demo

__all__ = ["DemoConfig", "demo"]
