"""Benchmarks of the model and its training."""
