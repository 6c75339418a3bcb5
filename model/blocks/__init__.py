"""Layers and networks that models are built of."""
