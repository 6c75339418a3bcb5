"""The loop of steps, and what observes it: logs, validation, samples, TensorBoard."""
