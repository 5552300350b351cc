"""Rewards: the protocol, the panel, the registry, scoring of files, published scorers."""
