"""What `benchmarks.latents` does for each codec: a dataset, a training, an evaluation.

All three are the commands of ns2, in processes of their own.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ns2.model.codec.loading import load_codec
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.spoken.cast import cast, speak_spoken
from ns2.pipeline.corpora.spoken.espeak import SENTENCES
from ns2.pipeline.corpora.spoken.sentences import sentences
from ns2.train.codec.measure import bit_rate
from ns2.train.run.names import METRICS
from ns2.train.tour.spoken_recordings import HELD_OUT, SPEAKERS

Device = Literal["cpu", "cuda"]
TRIAL_STEPS = 24
"""The number of steps that are tried to measure how long a step takes."""
_HELD_OUT = 20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all codecs have in common."""

    corpus: Path
    """The corpus that all datasets are made of."""

    work: Path
    """The folder of all files."""

    preset: str
    """The preset of the model."""

    steps: int
    """The number of training steps."""

    minutes: float | None
    """The minutes of training instead of steps."""

    limit: int
    """The number of held-out sentences, at most."""

    workers: int
    """The number of processes that make datasets and train."""

    device: Device
    """The torch device that learns and speaks."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """A codec whose latents a model learns."""

    name: str
    """Its name in the table."""

    codec: str
    """What `--codec` takes."""

    about: dict[str, Any]
    """Its rates and sizes, as values for JSON."""

    settings: Settings
    """What it has in common with others."""

    @staticmethod
    def of(codec: str, settings: Settings) -> Learner:
        """Open a codec for its sizes.

        Raises:
            CodecError: it can't be opened.
        """
        opened = load_codec(codec, None, None)
        spec = opened.spec
        about = {
            "codec": codec,
            "digest": opened.digest,
            "latent_dim": spec.latent_dim,
            "quantizers": spec.quantizers,
            "entries": spec.entries,
            "bit_rate": bit_rate(opened),
        }
        is_file = Path(codec).is_file()
        name = f"{Path(codec).stem} ({opened.digest[:8]})" if is_file else codec
        where = str(Path(codec).resolve()) if is_file else codec
        return Learner(name=name, codec=where, about=about, settings=settings)

    @property
    def folder(self) -> Path:
        """The folder of its dataset and runs; another corpus or codec has another one."""
        corpus, digest = self.settings.corpus, self.about["digest"][:12]
        return self.settings.work / "latents" / f"{corpus.stem}-{Path(self.codec).stem}-{digest}"

    @property
    def shards(self) -> Path:
        """The folder of its dataset."""
        return self.folder / "shards"


def demo_corpus(work: Path, utterances: int, workers: int) -> Path:
    """Let espeak-ng speak the corpus of `ns2 demo` with fewer utterances; return its folder.

    Raises:
        UserError: there are fewer utterances than speakers.
    """
    if utterances < len(SPEAKERS):
        raise UserError(f"--utterances has to be at least {len(SPEAKERS)}, one for each speaker")
    texts = sentences(utterances, 0)
    said = cast(texts, SPEAKERS, "train", 0) + cast(SENTENCES[:_HELD_OUT], HELD_OUT, "val", 0)
    out = work / "latents" / f"espeak{utterances}"
    speak_spoken(out, said, workers=workers)
    return out


def learned(learner: Learner, seed: int) -> dict[str, Any]:
    """Let a model learn a codec's latents, and measure what it speaks.

    Args:
        learner: the codec.
        seed: the seed of the model, its noise and the order of utterances.

    Returns:
        `seed`, `steps`, `training_seconds`, and all figures of `ns2 evaluate`.

    Raises:
        UserError: a command of ns2 failed.
    """
    settings, shards = learner.settings, learner.shards
    alone = settings.workers == 1  # then Ray would only cost time
    crew = ("--executor", "inline") if alone else ("--workers", settings.workers)
    run_ns2("preprocess", settings.corpus, "-o", shards, "--codec", learner.codec, *crew)
    steps = settings.steps if settings.minutes is None else _steps_in(learner, seed)
    run = learner.folder / f"{settings.preset}-{steps}-{seed}"
    run_ns2(*training(learner, steps, seed, run))
    out = run_ns2(
        "evaluate", run, shards, "--corpus", settings.corpus, "--limit", settings.limit,
        "--device", settings.device, "--json",
    )  # fmt: skip
    return {
        "seed": seed,
        "steps": steps,
        "training_seconds": sum(step_seconds(run)),
        **json.loads(out)["all"],
    }


def training(learner: Learner, steps: int, seed: int, out: Path) -> Sequence[object]:
    """Return the command that trains a model; nothing but steps takes time in it."""
    settings = learner.settings
    several = settings.device == "cpu" and settings.workers > 1
    return (
        "train", learner.shards, "-o", out, "--preset", settings.preset, "--steps", steps,
        "--set", f"seed={seed}", "--set", "samples=0", "--set", "validate_every=0",
        "--device", settings.device, *(("--devices", settings.workers) if several else ()),
    )  # fmt: skip


def _steps_in(learner: Learner, seed: int) -> int:
    """Return the steps that take the minutes of the settings, by a short trial.

    The number is kept beside the runs, so that a run that was stopped goes on.
    """
    minutes = learner.settings.minutes
    assert minutes is not None
    note = learner.folder / f"{learner.settings.preset}-steps-in-{minutes:g}-minutes"
    if not note.is_file():
        trial = learner.folder / "trial"
        shutil.rmtree(trial, ignore_errors=True)
        run_ns2(*training(learner, TRIAL_STEPS, seed, trial))
        each = statistics.mean(step_seconds(trial)[TRIAL_STEPS // 3 :])  # the first take longer
        shutil.rmtree(trial)
        note.write_text(str(max(1, round(60 * minutes / each))))
    return int(note.read_text())


def step_seconds(run: Path) -> list[float]:
    """Return the seconds of each step of a run."""
    lines = (run / METRICS).read_text("utf-8").splitlines()
    return [json.loads(line)["seconds"] for line in lines]


def run_ns2(*words: object) -> str:
    """Show and run a command of ns2; return what it writes to standard output.

    Raises:
        UserError: it failed, after it has said why.
    """
    print(f"$ ns2 {shlex.join(map(str, words))}", flush=True)
    command = [sys.executable, "-m", "ns2.cli", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"`ns2 {words[0]}` ended with exit code {done.returncode}; correct what it reports, "
            "and the same command goes on"
        )
    return done.stdout
