"""The whole way from nothing to speech: `ns2 demo`.

espeak-ng speaks a corpus; then `ns2 preprocess`, `ns2 train`, `ns2 evaluate` and `ns2 synthesize`
do what they do for real recordings, each as a command of its own that is shown. Nothing that is
there already is done again, so a demo that was stopped goes on.

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
from typing import Any, Literal

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import display
from ns2.pipeline.corpora.spoken.cast import Speaker, Spoken, cast, speak_spoken
from ns2.pipeline.corpora.spoken.espeak import SENTENCES
from ns2.pipeline.corpora.spoken.sentences import sentences
from ns2.train.run.names import CONFIG, EVALUATION, METRICS

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
"""The speakers of the training split: each voice low and high."""
HELD_OUT = (
    Speaker(voice="en-us+m7", pitch=50, rate=160),
    Speaker(voice="en-us+f1", pitch=50, rate=160),
)
"""The speakers of the validation split, whose voices are not in the training split."""
_MOST_CORES = 8
"""The number of cores that are used unless more are asked for."""
_TRIAL_STEPS = 24
"""The number of steps that are tried to measure how long a step takes."""
_UNWATCHED = ("--set", "samples=0", "--set", "validate_every=0")
_HELD_OUT_SENTENCES = SENTENCES[:20]
_OTHER_SENTENCES = SENTENCES[20:]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The options of a demo, and the folders that it makes."""

    root: Path
    """The folder of all that the demo makes."""

    minutes: float = 12.0
    """The time that the model is trained for, in minutes."""

    utterances: int = 1200
    """The number of utterances to train on, of about 2.7 seconds each."""

    seed: int = 0
    """The seed of texts and speakers, of the model and of its noise."""

    cores: int | None = None
    """The number of CPU cores that work at the same time.  [default: all, 8 at most]"""

    device: Literal["cpu", "cuda"] = "cpu"
    """The device that the model is trained and speaks on: cpu, or cuda for a GPU."""

    def __post_init__(self) -> None:
        if self.utterances < len(SPEAKERS):
            raise UserError(
                f"--utterances has to be at least {len(SPEAKERS)}, one for each speaker"
            )
        if not self.minutes > 0:
            raise UserError(f"--minutes has to be above 0, got {self.minutes:g}")

    @property
    def workers(self) -> int:
        """The number of processes that work at the same time."""
        return self.cores or min(_MOST_CORES, len(os.sched_getaffinity(0)))

    @property
    def corpus(self) -> Path:
        """The folder of recordings with texts."""
        return self.root / "corpus"

    @property
    def shards(self) -> Path:
        """The folder of the dataset."""
        return self.root / "shards"

    @property
    def run(self) -> Path:
        """The folder of the training, which holds the model."""
        return self.root / "run"

    @property
    def hello(self) -> Path:
        """The file of the sentence that is spoken in the end."""
        return self.root / "hello.wav"


def tour(demo: Demo, show: Callable[[str], None]) -> None:
    """Go the whole way, from where an earlier call was stopped.

    Args:
        show: prints a line.

    Raises:
        UserError: a command failed, or the demo was stopped; the same call goes on.
    """
    begin(demo)

    # The corpus: the first input of the commands, for lack of recordings.
    said = what_is_said(demo)
    with display() as progress:
        progress.phase("espeak-ng speaks", len(said))
        speak_spoken(demo.corpus, said, workers=demo.workers, tell=progress.reach)

    # The dataset.
    for words in making_shards(demo):
        command(*words, show=show)

    # The model. A training that is stopped by a signal ends well, but there is no model to show.
    show("\nA few steps of training are tried, to measure how long one takes here.")
    command(*training_run(demo, steps_in(demo)), show=show)
    if not finished(demo):
        raise UserError("training was stopped; the same `ns2 demo` goes on")

    # What it has learned.
    for words in speaking(demo):
        command(*words, show=show)
    show(farewell(demo))


def farewell(demo: Demo) -> str:
    """What there is to hear and see in the end."""
    evaluation = demo.run / EVALUATION
    return (
        f"\nThe model was trained for {demo.minutes:g} minutes, and reads sentences that it has "
        "never seen in a voice that it has never heard.\n"
        f"  listen    {demo.hello}\n"
        f"  compare   {evaluation / 'index.html'} in a browser: recordings, codec, model\n"
        f"  figures   {evaluation / 'evaluation.json'}\n"
        f"  curves    tensorboard --logdir {demo.run}\n"
        f'  speak     ns2 synthesize {demo.run} "Your words." --prompt your-voice.wav'
    )


def what_is_said(demo: Demo) -> list[Spoken]:
    """The utterances of the corpus: made-up sentences, and twenty others in other voices.

    The twenty are the validation split.
    """
    learned = sentences(demo.utterances, demo.seed) + list(_OTHER_SENTENCES)
    return cast(learned, SPEAKERS, "train", demo.seed) + cast(
        _HELD_OUT_SENTENCES, HELD_OUT, "val", demo.seed
    )


def begin(demo: Demo) -> None:
    """Write down the options, or check that the demo in the folder began with the same.

    Raises:
        UserError: it began with others.
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


def making_shards(demo: Demo) -> Sequence[Sequence[object]]:
    """The commands that turn the corpus into a dataset."""
    workers = ("--workers", demo.workers)
    return (
        ("preprocess", demo.corpus, "-o", demo.shards, "--codec", "mini", *workers),
        ("verify", demo.shards, *workers),
    )


def steps_in(demo: Demo) -> int:
    """The number of training steps that fit into the minutes on this machine.

    A few steps are tried in a run of their own; a run that has begun keeps its number.

    Raises:
        UserError: training fails.
    """
    try:
        return int(json.loads((demo.run / CONFIG).read_text("utf-8"))["steps"])
    except (OSError, ValueError, KeyError):
        pass
    trial = demo.root / "trial"
    shutil.rmtree(trial, ignore_errors=True)  # a demo that was killed may have left it
    words = [*training_run(demo, _TRIAL_STEPS, trial), *_UNWATCHED]
    try:
        done = _ns2(words, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"training does not work here: {done.stderr.strip()}")
        lines = (trial / METRICS).read_text("utf-8").splitlines()
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    # The first steps take longer.
    seconds = [json.loads(line)["seconds"] for line in lines[_TRIAL_STEPS // 3 :]]
    return max(1, round(60 * demo.minutes / statistics.mean(seconds)))


def training_run(demo: Demo, steps: int, out: Path | None = None) -> Sequence[object]:
    """The command that trains the model.

    Args:
        out: the folder of the run; None for that of the demo.
    """
    processes = ("--devices", demo.workers) if demo.device == "cpu" and demo.workers > 1 else ()
    return (
        "train", demo.shards, "-o", out or demo.run, "--preset", PRESET, "--steps", steps,
        "--set", f"seed={demo.seed}", "--device", demo.device, *processes,
    )  # fmt: skip


def finished(demo: Demo) -> bool:
    """Whether the training has done all of its steps."""
    steps = json.loads((demo.run / CONFIG).read_text("utf-8"))["steps"]
    lines = (demo.run / METRICS).read_text("utf-8").splitlines()
    return bool(lines) and int(json.loads(lines[-1])["step"]) >= int(steps)


def speaking(demo: Demo) -> Sequence[Sequence[object]]:
    """The commands that let the model speak."""
    first = next(said for said in what_is_said(demo) if said.split == "val")
    prompt = demo.corpus / "wavs" / f"{first.id}.wav"
    device = ("--device", demo.device)
    return (
        ("evaluate", demo.run, demo.shards, "--corpus", demo.corpus, *device),
        ("synthesize", demo.run, HELLO, "--prompt", prompt, "-o", demo.hello, *device),
    )


def command(*arguments: object, show: Callable[[str], None]) -> None:
    """Show and run a command of ns2.

    Args:
        show: prints a line.

    Raises:
        UserError: the command failed, after it has printed why, or was stopped.
    """
    show(f"\n$ ns2 {shlex.join(map(str, arguments))}")
    done = _ns2(arguments)
    if done.returncode:
        raise UserError(
            f"`ns2 {arguments[0]}` ended with exit code {done.returncode}; correct what it "
            "reports, and the same `ns2 demo` goes on"
        )


def _ns2(arguments: Sequence[object], **how: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of ns2; Ctrl-C reaches it from the terminal, and it ends in its own way.

    Args:
        how: arguments of `subprocess.run`.

    Raises:
        UserError: it was stopped by Ctrl-C.
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
