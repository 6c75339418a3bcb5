"""The way from recordings to speech, command after command: `ns2 demo`.

The recordings are the user's (`--corpus`), or espeak-ng speaks them. Then `ns2 preprocess`, `ns2
train`, `ns2 evaluate` and `ns2 synthesize` do what they do for anyone, each as a command of its own
that is shown. Nothing that is there already is done again, so a demo that was stopped goes on.

    DIR/corpus    spoken recordings, if any    DIR/run/evaluation    figures, and a page to listen
    DIR/shards    the dataset                  DIR/hello.wav         a sentence nobody has spoken
    DIR/run       the model                    DIR/demo.json         the options
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from ns2.pipeline.core.atomic import refuse_link, write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import read_json
from ns2.train.run.folder import RunFolder
from ns2.train.run.names import CONFIG, EVALUATION, METRICS
from ns2.train.tour.demo_config import Demo
from ns2.train.tour.own_recordings import OwnRecordings
from ns2.train.tour.recordings import Recordings
from ns2.train.tour.shown_command import command, run_ns2
from ns2.train.tour.spoken_recordings import SpokenRecordings

PRESET = "demo"
_TRIAL = "trial"
_TRIAL_STEPS = 24
"""The number of steps that are tried to measure how long a step takes."""
_UNWATCHED = ("--set", "samples=0", "--set", "validate_every=0")


def tour(demo: Demo, show: Callable[[str], None]) -> None:
    """Go the whole way, from where an earlier call was stopped.

    Args:
        show: prints a line.

    Raises:
        UserError: the corpus is too small, a command failed, or the demo was stopped; the same call
            goes on.
    """
    begin(demo)

    # The corpus.
    recordings = recordings_of(demo)
    recordings.prepare()

    # The dataset.
    for words in making_shards(demo, recordings):
        command(*words, show=show)
    recordings.check()

    # The model. A training that is stopped by a signal ends well, but there is no model to show.
    show("\nA few steps of training are tried, to measure how long one takes here.")
    command(*training_run(demo, steps_in(demo)), show=show)
    if not finished(demo):
        raise UserError("training was stopped; the same `ns2 demo` goes on")

    # What it has learned.
    for words in speaking(demo, recordings, recordings.judging(show)):
        command(*words, show=show)
    show(farewell(demo, recordings))


def recordings_of(demo: Demo) -> Recordings:
    """What the demo learns from."""
    return SpokenRecordings(demo) if demo.corpus is None else OwnRecordings(demo, demo.corpus)


def begin(demo: Demo) -> None:
    """Write down the options, or check that the demo in the folder began with the same.

    Raises:
        UserError: it began with others.
    """
    chosen, note = demo.remembered, demo.root / "demo.json"
    for folder in (demo.root / "corpus", demo.shards, demo.run, demo.root / _TRIAL):
        refuse_link(folder)
    if not note.is_file():
        demo.root.mkdir(parents=True, exist_ok=True)
        write_if_changed(note, json.dumps(chosen).encode())
        return
    before = read_json(note)
    names = dict.fromkeys((*chosen, *before))
    other = [name for name in names if chosen.get(name) != before.get(name)]
    if "corpus" in other:  # that of another corpus differs in more, and that says nothing
        other = ["corpus"]
    if other:
        told = ", ".join(
            f"--{name} ({'none' if before.get(name) is None else before[name]})" for name in other
        )
        raise UserError(
            f"{demo.root} is a demo with other {told}: choose another folder, or delete it"
        )


def making_shards(demo: Demo, recordings: Recordings) -> Sequence[Sequence[object]]:
    """The commands that turn the recordings into a dataset; of a user's the plan comes first."""
    workers = ("--workers", demo.workers)
    made = ("preprocess", recordings.place, "-o", demo.shards, "--codec", "mini")
    options = recordings.making()
    planned = [] if demo.corpus is None else [(*made, *options, "--plan")]
    return (*planned, (*made, *options, *workers), ("verify", demo.shards, *workers))


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
    trial = demo.root / _TRIAL
    RunFolder(trial).remove()  # a demo that was killed may have left it
    words = [*training_run(demo, _TRIAL_STEPS, trial), *_UNWATCHED]
    try:
        done = run_ns2(words, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"training does not work here: {done.stderr.strip()}")
        lines = (trial / METRICS).read_text("utf-8").splitlines()
    finally:
        RunFolder(trial).remove()
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


def speaking(
    demo: Demo, recordings: Recordings, judges: Sequence[str] = ()
) -> Sequence[Sequence[object]]:
    """The commands that let the model speak.

    Args:
        judges: options of `ns2 evaluate`.
    """
    hello, device = recordings.hello(), ("--device", demo.device)
    language = () if hello.language is None else ("--language", hello.language)
    return (
        ("evaluate", demo.run, demo.shards, "--corpus", recordings.place, *judges, *device),
        (
            "synthesize", demo.run, hello.text, "--prompt", hello.prompt, "-o", demo.hello,
            *language, *device,
        ),
    )  # fmt: skip


def farewell(demo: Demo, recordings: Recordings) -> str:
    """What there is to hear and see in the end."""
    evaluation = demo.run / EVALUATION
    return (
        f"\n{recordings.learned()}\n"
        f"  listen    {demo.hello}\n"
        f"  compare   {evaluation / 'index.html'} in a browser: recordings, codec, model\n"
        f"  figures   {evaluation / 'evaluation.json'}\n"
        f"  curves    tensorboard --logdir {demo.run}\n"
        f'  speak     ns2 synthesize {demo.run} "Your words." --prompt {recordings.voice()}'
    )
