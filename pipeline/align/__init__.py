"""Where durations come from: the aligner, or TextGrids made elsewhere."""
