"""Layers and networks that several models are built of."""
