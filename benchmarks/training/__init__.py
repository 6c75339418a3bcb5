"""Benchmarks and checks of training steps."""
