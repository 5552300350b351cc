"""A leaderboard of judges: many rewards on many sets, as text, Markdown, JSON and one page."""
