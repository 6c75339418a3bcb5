"""Recordings as numbers: decoding, pitch, measures, drawings."""
