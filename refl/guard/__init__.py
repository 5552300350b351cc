"""Held-out judges that stop a run which games its rewards."""
