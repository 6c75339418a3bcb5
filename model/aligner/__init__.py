"""The aligner: mel and phonemes to durations."""
