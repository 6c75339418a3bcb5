"""Benchmarks of making datasets."""
