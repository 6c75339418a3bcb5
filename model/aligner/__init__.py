"""The aligner: it finds the durations of phonemes in a mel spectrogram."""
