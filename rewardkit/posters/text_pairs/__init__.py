"""Pairs of one poster with right and wrong text, in any fonts and language: what a judge of lettering learns from."""
