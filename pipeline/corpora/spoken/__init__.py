"""Corpora that espeak-ng speaks, with exactly known borders of phones."""
