"""Names of the files and folders in a run's folder."""

from __future__ import annotations

import re

CONFIG, ABOUT, WEIGHTS = "config.json", "run.json", "model.safetensors"
INIT = "init"
"""The field of run.json about the run whose weights this one began with."""
LOCK = ".lock"
"""The file that a training which is at work holds locked."""
METRICS, VALIDATION, STATISTICS = "metrics.jsonl", "validation.jsonl", "statistics.jsonl"
CHECKPOINTS, BEST = "checkpoints", "best.pt"
SAMPLES, SAMPLE_LOG = "samples", "samples.jsonl"
SPEECH = "speech"
"""The folder of what speaking needs: phoneme table, codec, languages, longest utterance."""
BOARD = "tensorboard"
LOSSES = "utterance_loss.parquet"
"""The mean loss of each utterance, with `utterance_loss`."""
EVALUATION = "evaluation"
"""The folder that `ns2 evaluate` writes unless another one is named."""
ZERO_SHOT = "zero-shot"
"""The folder that `ns2 evaluate --protocol zero-shot` writes unless another one is named."""

LOGS = (METRICS, VALIDATION, SAMPLE_LOG, STATISTICS)
"""The files that a run appends lines to."""

_FILE = r"[A-Za-z0-9_-]{1,120}"
_WAVE = r"[A-Za-z0-9_.-]{1,120}"
FOLDERS = {
    CHECKPOINTS: re.compile(r"[0-9]{8,12}\.pt|best\.pt"),
    SAMPLES: re.compile(rf"(reference|[0-9]{{8,12}})/{_FILE}\.(wav|png)"),
    BOARD: re.compile(r"events\.out\.tfevents\.[^/]+"),
    SPEECH: re.compile(r"(phonemes|speech|lexicon)\.json"),
    EVALUATION: re.compile(rf"index\.html|evaluation\.json|wavs/{_FILE}\.wav|plots/{_FILE}\.png"),
    ZERO_SHOT: re.compile(rf"zero-shot\.(json|md|tex)|wavs\.tsv|wavs/{_WAVE}\.wav"),
}
"""A run's folders, and the paths of the files that ns2 writes into each: no other is deleted."""
