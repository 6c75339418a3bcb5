"""Benchmarks of codecs and of generated speech."""
