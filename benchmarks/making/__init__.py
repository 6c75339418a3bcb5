"""Benchmarks of making a dataset."""
