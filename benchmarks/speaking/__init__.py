"""Benchmarks of speaking and of codecs."""
