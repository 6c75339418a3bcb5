"""The settings with which each preset is trained.

`ns2 train --preset NAME` starts from them; --config and --set change single settings. The paper's
training is for many GPUs. `small`, `demo` and `tiny` are for one CPU: their steps and warm-up are
short, and validations and samples come soon.
"""

from __future__ import annotations

from typing import Any

from ns2.model.tts.presets import preset
from ns2.train.run.settings import TrainConfig

_CPU: dict[str, Any] = {
    "warmup": 100,
    "decay": "cosine",
    "learning_rate": 1e-3,
    "ema": 0.999,
    "validate_frames": 8_000,
}
TRAINING: dict[str, dict[str, Any]] = {
    "paper": {},
    "base": {"warmup": 8_000},
    "seed": {"warmup": 8_000},
    "small": {**_CPU, "steps": 20_000, "global_frames": 6_000, "warmup": 500, "sample_every": 2000},
    "demo": {
        **_CPU,
        "steps": 800,
        "global_frames": 2_400,
        "learning_rate": 2e-3,
        "ema": 0.99,
        "frame_multiple": 1,
        "token_multiple": 1,
        "validate_every": 100,
        "sample_every": 400,
        "checkpoint_every": 100,
    },
    "tiny": {
        **_CPU,
        "steps": 3_000,
        "global_frames": 4_000,
        "validate_every": 100,
        "sample_every": 100,
        "checkpoint_every": 100,
        "ema": 0.99,
    },
}
"""The settings of each preset that differ from the defaults of `TrainConfig`."""


def training(name: str) -> TrainConfig:
    """The model and the settings of a preset.

    Raises:
        ValueError: there is no preset of that name.
    """
    return TrainConfig(model=preset(name), **TRAINING.get(name, {}))
