"""The training kit: run folder, trackers, versions, processes, EMA, schedules, checkpoints."""
