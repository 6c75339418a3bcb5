"""Words to phonemes: normalised text, clauses, pronunciation."""
