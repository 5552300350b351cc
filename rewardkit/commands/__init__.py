"""The command line, and the commands that have no package of their own."""
