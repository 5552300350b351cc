"""Pairwise accuracy of reward models under named conventions, and leaderboards of them."""
