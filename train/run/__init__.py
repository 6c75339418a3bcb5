"""A run: its settings, its folder, its checkpoints and logs, and the request to stop it."""
