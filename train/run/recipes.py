"""The settings with which each preset is trained.

`ns2 train --preset NAME` starts from them; --config and --set change single settings. The paper's
training is for many GPUs. `small`, `demo` and `tiny` are for one CPU: their steps and warm-up are
short, and validations and samples come soon. `adapt` sets the training alone, for `--init`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ns2.model.config_values import flat_values
from ns2.model.tts.ns2_config import NS2Config
from ns2.model.tts.presets import PRESETS, preset
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


ADAPT = "adapt"
"""The preset that sets the training alone, for a run that begins with another's weights."""
_ADAPTING: dict[str, Any] = {
    "steps": 600,
    "epochs": 150.0,
    "learning_rate": 5e-4,
    "warmup": 50,
    "decay": "cosine",
    "ema": 0.99,
    "frozen": "phoneme_encoder",
    "validate_every": 100,
    "sample_every": 300,
    "checkpoint_every": 100,
}
_KEPT = (
    "global_frames",
    "beta1",
    "beta2",
    "weight_decay",
    "clip",
    "accumulate",
    "recompute",
    "precision",
    "frame_multiple",
    "token_multiple",
    "validate_frames",
    "samples",
    "sampler",
)
"""Settings that `adapt` leaves as the other run had them: what fits a device fits it still."""


def training(name: str) -> TrainConfig:
    """The model and the settings of a preset.

    Raises:
        ValueError: there is no preset of that name, or it has no model of its own.
    """
    if name == ADAPT:
        raise ValueError(
            f"the preset {ADAPT} sets the training alone: name the run to begin with by --init RUN"
        )
    return TrainConfig(model=preset(name), **TRAINING.get(name, {}))


def training_from(name: str, origin: TrainConfig) -> TrainConfig:
    """The settings of a preset for a run that begins with another's weights.

    Args:
        origin: the settings of the other run, whose model stays.

    Raises:
        ValueError: there is no preset of that name, or its model is another one.
    """
    if name == ADAPT:
        kept = {setting: getattr(origin, setting) for setting in _KEPT}
        return TrainConfig(model=origin.model, **kept, **_ADAPTING)
    if name not in PRESETS:
        raise ValueError(
            f"there is no preset {name!r}; choose one of: {', '.join((*PRESETS, ADAPT))}"
        )
    config = training(name)
    if told := other_model(config.model, origin.model):
        raise ValueError(
            f"the preset {name} has another model than the run of --init, whose sizes stay: {told}."
            f" Leave --preset out, which takes {ADAPT}"
        )
    return replace(config, model=origin.model)


def other_model(ours: NS2Config, origin: NS2Config) -> str:
    """What makes a model another one: settings on which its weights depend; "" for nothing."""
    a, b = flat_values(ours), flat_values(origin)
    names = [name for name in a if a[name] != b[name] and not _FREE.search(name)]
    told = [f"model.{name} is {a[name]}, there {b[name]}" for name in names[:_NAMED]]
    more = f" (and {len(names) - _NAMED} more)" if len(names) > _NAMED else ""
    return "; ".join(told) + more


_NAMED = 3
"""So many settings that differ are named."""
_FREE = re.compile(
    r"^prompt\.|^losses\.|\.dropout$"
    r"|^diffusion\.(min_snr|score_clip|ce_quantizers|self_condition|drop_prompt|drop_content)$"
)
"""Settings of a model on which no weight depends: how it learns."""
