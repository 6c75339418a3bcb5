"""An evaluation from start to end: speak, measure, write figures, waves, plots and the page."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ns2.model.log_mel import MelConfig
from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.sound.measures import log_mel
from ns2.pipeline.sound.pitch import PitchConfig, extract_f0
from ns2.train.evaluation.evaluator import REVERSED, VERSIONS, Evaluator
from ns2.train.evaluation.figures import rows, summary
from ns2.train.evaluation.page import FIGURES, PROMPT, write_page, write_plot, write_waves
from ns2.train.speak.plot_versions import Version, as_png, draw_versions


def report(evaluator: Evaluator, run: Path, out: Path, progress: Progress) -> dict[str, Any]:
    """Evaluate a run, and write figures, page, waves and plots into a folder.

    Returns:
        the content of `evaluation.json`: `settings`, `all` (see `figures.summary`) and
        `utterances` (see `figures.rows`).

    Raises:
        UserError: the dataset or the corpus can't be used.
    """
    dataset = evaluator.dataset
    held = evaluator.utterances()

    # Waves and plots are written as they come, since all of them would not fit into memory.
    progress.phase("speaking and measuring", len(held))
    out.mkdir(parents=True, exist_ok=True)
    rate, results = dataset.grid.sample_rate, []
    for result, waves in evaluator.run(held):
        key = result.utterance.key
        prompt = evaluator.synthesizer.decoded(result.utterance.prompt)
        write_waves(out, key, {**waves, PROMPT: prompt}, rate)
        write_plot(out, key, _plot(evaluator, waves))
        progress.advance(utterances=1, seconds=result.utterance.samples / rate)
        results.append(result)

    # The page is written last: it shows all that lies beside it.
    settings = _settings(evaluator, run)
    found: dict[str, Any] = {
        "settings": settings,
        "all": summary(results, dataset.grid, evaluator.known_phones),
        "utterances": rows(results),
    }
    text = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_if_changed(out / FIGURES, text.encode())
    write_page(out, f"ns2 evaluate {run.name}", _shown(settings), found["all"], results)
    return found


def _settings(evaluator: Evaluator, run: Path) -> dict[str, Any]:
    """The settings of an evaluation, as values for JSON."""
    config, choices = evaluator.config, evaluator.choices
    return {
        "run": run.name,
        "weights": config.weights,
        "step": evaluator.synthesizer.step,
        "dataset": evaluator.dataset.root.name,
        "dataset_digest": evaluator.dataset.card.digest,
        "split": config.split,
        "limit": config.limit,
        "seed": config.seed,
        "guidance": choices.guidance,
        "rescale": choices.rescale,
        **{f"sampler_{name}": value for name, value in asdict(choices.sampler).items()},
        "recogniser": config.recogniser,
        "speaker_model": config.speaker_model,
        "mos": "DNSMOS P.835 and P.808" if config.mos else "",
    }


def _shown(settings: Mapping[str, Any]) -> dict[str, str]:
    """The settings for people, by the names of the page's first table."""
    shown = {
        "run": settings["run"],
        "weights": _weights(settings["weights"], settings["step"]),
        "dataset": f"{settings['dataset']} ({settings['dataset_digest'][:12]})",
        "utterances": f"split {settings['split']}, {settings['limit']} at most, "
        f"seed {settings['seed']}",
        "sampler": f"{settings['sampler_kind']}, {settings['sampler_steps']} steps, temperature "
        f"{settings['sampler_temperature']:g}, guidance {settings['guidance']:g}",
    }
    for name in ("recogniser", "speaker_model", "mos"):
        if settings[name]:
            shown[name.replace("_", " ")] = settings[name]
    return shown


def _weights(which: str, step: int | None) -> str:
    """Which weights spoke, as people read it."""
    return which if step is None else f"step {step:,}" + (f" ({which})" * (not which.isdecimal()))


def _plot(evaluator: Evaluator, waves: Mapping[str, np.ndarray]) -> bytes:
    """A PNG of the log-mel and F0 of all versions but the control."""
    pitch, mel = evaluator.pitch_config, evaluator.mel_config
    versions = [
        _version(VERSIONS[name], waves[name], pitch, mel)
        for name in VERSIONS
        if name in waves and name != REVERSED
    ]
    with warnings.catch_warnings():  # a title in another script may lack a glyph
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        return as_png(draw_versions(versions, evaluator.dataset.grid, mel))


def _version(title: str, wave: np.ndarray, pitch: PitchConfig, mel: MelConfig) -> Version:
    return Version(name=title, mel=log_mel(wave, mel), f0=extract_f0(wave, pitch))
