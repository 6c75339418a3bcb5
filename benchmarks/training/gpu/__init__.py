"""The sections of `benchmarks.gpu_check`: one module per subject, and what they share."""
