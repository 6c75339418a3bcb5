"""Executors carry out batches: the same interface, the same bytes."""
