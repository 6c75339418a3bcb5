"""A corpus that espeak-ng speaks, with exactly known borders."""
