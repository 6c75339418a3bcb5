"""Benchmarks of reading datasets."""
