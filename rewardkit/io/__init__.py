"""Atomic files, JSON lines, TOML, progress, and silencing of libraries."""
