"""Pages, plots, tables and numbers of every report."""
