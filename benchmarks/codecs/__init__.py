"""Benchmarks by which codecs are chosen: copies of recordings, and what a model learns of them."""
