"""From a dataset to a run: data, loop, checkpoints."""
