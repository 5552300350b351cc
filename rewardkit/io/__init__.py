"""Files: written whole or not at all; TOML; progress; quieting of libraries."""
