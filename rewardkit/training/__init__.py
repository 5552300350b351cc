"""What every training loop shares: the run folder, trackers, versions, processes, averages."""
