"""The objectives' names, for the command line; a test holds them to `refl.objectives.table`. Imports no torch."""

from typing import Literal

ObjectiveName = Literal["refl", "draft-k", "draft-lv", "direct-align", "drtune", "nft", "flow-grpo"]
