"""Objectives: how rewards reach the weights, one file each; `table` lists them, `names` their names."""
