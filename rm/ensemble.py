"""Several heads of one axis that learn apart: their mean errs less than any of them does."""

import torch
from torch import nn

from rm.heads import Features
from rm.losses import MemberScores


class Ensemble(nn.Module):
    """Heads that differ by their random start alone; the score is their mean (deep ensembles, arXiv:1612.01474).

    In training it gives each member's own scores, (members, B), so that every member has a loss of its own. Trained on
    the loss of their mean, members would lean on each other and be one wide head.
    """

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, features: Features) -> MemberScores:
        each = torch.stack([member(features) for member in self.members])
        return each if self.training else each.mean(0)
