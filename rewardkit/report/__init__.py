"""Pages, plots, tables and number formats shared by all reports."""
