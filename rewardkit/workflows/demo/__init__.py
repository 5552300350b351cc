"""`rewardkit demo`: the whole recipe once on the built-in base, from preference pairs to a report.

Each step is a command that you can also run by hand; the demo prints it before it runs it. Finished steps are not
repeated, so a demo that was stopped continues where it stopped.
"""
