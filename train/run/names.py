"""What lies where in a run's folder."""

from __future__ import annotations

CONFIG, ABOUT, WEIGHTS = "config.json", "run.json", "model.safetensors"
METRICS, VALIDATION, STATISTICS = "metrics.jsonl", "validation.jsonl", "statistics.jsonl"
CHECKPOINTS, BEST = "checkpoints", "best.pt"
SAMPLES = "samples"
SPEECH = "speech"
"""What a run needs to speak: phoneme table, codec, longest utterance."""
BOARD = "tensorboard"
EVALUATION = "evaluation"
"""Where `ns2 evaluate` writes unless it is given another folder."""
