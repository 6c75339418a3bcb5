"""Names of the files and folders in a run's folder."""

from __future__ import annotations

CONFIG, ABOUT, WEIGHTS = "config.json", "run.json", "model.safetensors"
METRICS, VALIDATION, STATISTICS = "metrics.jsonl", "validation.jsonl", "statistics.jsonl"
CHECKPOINTS, BEST = "checkpoints", "best.pt"
SAMPLES, SAMPLE_LOG = "samples", "samples.jsonl"
SPEECH = "speech"
"""The folder of what speaking needs: phoneme table, codec, languages, longest utterance."""
BOARD = "tensorboard"
EVALUATION = "evaluation"
"""The folder that `ns2 evaluate` writes unless another one is named."""
