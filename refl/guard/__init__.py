"""Held-out judges that stop a run when it games its rewards."""
