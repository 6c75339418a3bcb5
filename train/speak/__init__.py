"""A run that speaks."""
