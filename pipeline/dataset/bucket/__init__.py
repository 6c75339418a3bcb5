"""Datasets that lie in a bucket: their small files are copied, and arrays fetched as ranges."""
