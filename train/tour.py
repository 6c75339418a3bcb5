"""`ns2 demo`: from nothing to speech, by the commands that anyone would use.

espeak-ng speaks a corpus; then `ns2 preprocess`, `ns2 train`, `ns2 evaluate` and `ns2 synthesize`
do what they do for real recordings, each as a command of its own that is shown. What is there
already is not done again: a demo that was stopped goes on.

    DIR/corpus    recordings with texts      DIR/run/evaluation    figures, and a page to listen
    DIR/shards    the dataset                DIR/hello.wav         a sentence nobody has spoken
    DIR/run       the model
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.corpora.spoken.cast import Speaker, Spoken, cast, speak_spoken
from ns2.pipeline.corpora.spoken.espeak import SENTENCES
from ns2.pipeline.corpora.spoken.sentences import sentences

PRESET = "demo"
HELLO = "Hello there. A few minutes ago I could not speak at all."
_VOICES = (
    "en-us",
    *(
        f"en-us+{variant}"
        for variant in (
            "m1", "m3", "m4", "m6", "m8", "Andy", "Lee", "sandro", "adam",
            "f2", "linda", "steph", "anika", "grandma",
        )
    ),
)  # fmt: skip
SPEAKERS = tuple(
    Speaker(voice=voice, pitch=pitch + 7 * number % spread, rate=rate + 5 * (number % 3))
    for number, voice in enumerate(_VOICES)
    for pitch, spread, rate in ((15, 30, 150), (50, 35, 165))
)
"""Who speaks what is learned: each voice low and high."""
HELD_OUT = (
    Speaker(voice="en-us+m7", pitch=50, rate=160),
    Speaker(voice="en-us+f1", pitch=50, rate=160),
)
"""Who speaks what is evaluated: voices that are never learned."""
_TRIED = 24
"""Steps that are done to see how long one takes."""
_UNWATCHED = ("--set", "samples=0", "--set", "validate_every=0")
_HELD_OUT_SENTENCES = SENTENCES[:20]
_OTHER_SENTENCES = SENTENCES[20:]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What can be chosen.

    Attributes:
        root: the folder for all of it.
        utterances: to learn from, about 2.7 s each.
        minutes: of training.
        seed: of texts, speakers, model and noise.
        cores: that work.
        device: that the model learns on.
    """

    root: Path
    utterances: int = 1200
    minutes: float = 12.0
    seed: int = 0
    cores: int = 2
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.utterances < len(SPEAKERS):
            raise UserError(f"--utterances has to be {len(SPEAKERS)} at least: one a speaker")
        if not self.minutes > 0:
            raise UserError(f"--minutes has to be above 0, got {self.minutes:g}")

    @property
    def corpus(self) -> Path:
        """Recordings with texts."""
        return self.root / "corpus"

    @property
    def shards(self) -> Path:
        """The dataset."""
        return self.root / "shards"

    @property
    def run(self) -> Path:
        """The model."""
        return self.root / "run"


def what_is_said(demo: Demo) -> list[Spoken]:
    """Made sentences to learn from, and twenty others, in other voices, to evaluate."""
    learned = sentences(demo.utterances, demo.seed) + list(_OTHER_SENTENCES)
    return cast(learned, SPEAKERS, "train", demo.seed) + cast(
        _HELD_OUT_SENTENCES, HELD_OUT, "val", demo.seed
    )


def begin(demo: Demo) -> None:
    """Note what was chosen, or see that it is what a demo in this folder has begun with.

    Raises:
        UserError: it is not.
    """
    chosen = {"utterances": demo.utterances, "minutes": demo.minutes, "seed": demo.seed}
    note = demo.root / "demo.json"
    if note.is_file():
        before = json.loads(note.read_text("utf-8"))
        if other := [name for name in chosen if chosen[name] != before.get(name)]:
            raise UserError(
                f"{demo.root} is a demo with other "
                f"{', '.join(f'--{name} ({before.get(name)})' for name in other)}: choose another "
                "folder, or delete it"
            )
        return
    demo.root.mkdir(parents=True, exist_ok=True)
    write_if_changed(note, json.dumps(chosen).encode())


def speak_corpus(demo: Demo, progress: Progress) -> None:
    """Let espeak-ng speak."""
    said = what_is_said(demo)
    progress.phase("espeak-ng speaks", len(said))
    speak_spoken(demo.corpus, said, workers=demo.cores, tell=progress.reach)


def steps_in(demo: Demo) -> int:
    """How many steps of training fit into the minutes on this machine; some are tried.

    A run that has begun keeps its number.

    Raises:
        UserError: training does not work.
    """
    try:
        return int(json.loads((demo.run / "config.json").read_text("utf-8"))["steps"])
    except (OSError, ValueError, KeyError):
        pass
    trial = demo.root / "trial"
    shutil.rmtree(trial, ignore_errors=True)  # of a demo that was killed
    words = [*training_run(demo, _TRIED, trial), *_UNWATCHED]
    try:
        done = _ns2(words, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"training does not work here: {done.stderr.strip()}")
        lines = (trial / "metrics.jsonl").read_text("utf-8").splitlines()
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    seconds = [json.loads(line)["seconds"] for line in lines[_TRIED // 3 :]]
    return max(1, round(60 * demo.minutes / statistics.mean(seconds)))


def command(*arguments: object, tell: Callable[[str], None]) -> None:
    """Run a command of ns2 as a newcomer would.

    Raises:
        UserError: it failed; it has said why.
    """
    tell(f"\n$ ns2 {shlex.join(map(str, arguments))}")
    done = _ns2(arguments)
    if done.returncode:
        raise UserError(
            f"`ns2 {arguments[0]}` ended with exit code {done.returncode}; put right what it says, "
            "and the same `ns2 demo` goes on"
        )


def _ns2(arguments: Sequence[object], **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command; Ctrl-C reaches it alone, and it ends in its own way.

    Raises:
        UserError: it was stopped.
    """
    words = [sys.executable, "-m", "ns2.cli", *map(str, arguments)]
    stopped: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: stopped.append(number))
    try:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, env=environment, check=False, **how)
    finally:
        signal.signal(signal.SIGINT, before)
    if stopped:
        raise UserError("stopped; the same `ns2 demo` goes on")
    return done


def finished(demo: Demo) -> bool:
    """Whether the training has done all of its steps: stopped by a signal it ends well, too."""
    steps = json.loads((demo.run / "config.json").read_text("utf-8"))["steps"]
    lines = (demo.run / "metrics.jsonl").read_text("utf-8").splitlines()
    return bool(lines) and int(json.loads(lines[-1])["step"]) >= int(steps)


def making_shards(demo: Demo) -> Sequence[Sequence[object]]:
    """The commands that turn the corpus into a dataset."""
    return (
        ("preprocess", demo.corpus, "-o", demo.shards, "--codec", "mini", "--workers", demo.cores),
        ("verify", demo.shards, "--workers", demo.cores),
    )


def training_run(demo: Demo, steps: int, out: Path | None = None) -> Sequence[object]:
    """The command that learns."""
    several = ("--devices", demo.cores) if demo.device == "cpu" and demo.cores > 1 else ()
    return (
        "train", demo.shards, "-o", out or demo.run, "--preset", PRESET, "--steps", steps,
        "--set", f"seed={demo.seed}", "--device", demo.device, *several,
    )  # fmt: skip


def speaking(demo: Demo) -> Sequence[Sequence[object]]:
    """The commands that let the model speak."""
    first = next(one for one in what_is_said(demo) if one.split == "val")
    prompt = demo.corpus / "wavs" / f"{first.id}.wav"
    device = ("--device", demo.device)
    return (
        ("evaluate", demo.run, demo.shards, "--corpus", demo.corpus, *device),
        ("synthesize", demo.run, HELLO, "--prompt", prompt, "-o", demo.root / "hello.wav", *device),
    )
