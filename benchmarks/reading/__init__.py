"""Benchmarks of reading a dataset for training."""
