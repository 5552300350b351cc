"""Pairs of one poster with right and wrong text, in any fonts and language: what a judge of lettering learns from."""

from rewardkit.posters.text_pairs.command import TextPairsConfig, make

__all__ = ["TextPairsConfig", "make"]
