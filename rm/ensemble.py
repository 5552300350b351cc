"""An ensemble of heads of one axis, trained independently: their mean has a smaller error than each member."""

import torch
from torch import nn

from rm.heads import Features
from rm.losses import MemberScores


class Ensemble(nn.Module):
    """Heads that differ only in their initialisation; the score is their mean (deep ensembles, arXiv:1612.01474).

    In training it returns each member's scores, (members, B), so that every member has its own loss. Trained on
    the loss of their mean, the members would co-adapt and act as one wide head.
    """

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, features: Features) -> MemberScores:
        each = torch.stack([member(features) for member in self.members])
        return each if self.training else each.mean(0)
