"""Corpora: finds the recordings and transcripts of every layout."""
