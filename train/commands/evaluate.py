"""`ns2 evaluate`: every heavy import is inside the command."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ns2.pipeline.commands.common import DATASET, FOLDER, NUMBERS, clear_errors, config_options
from ns2.pipeline.commands.places import PlaceType, cache_options
from ns2.pipeline.core.terminal import say
from ns2.train.commands.speaking_options import SHARED, speaking_options
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.judges.whisper_base import WHISPER_BASE
from ns2.train.evaluation.listening.listening_config import ListeningConfig

if TYPE_CHECKING:
    from ns2.train.speak.synthesizer import Synthesizer

_LISTENING = tuple(field.name for field in fields(ListeningConfig))


@click.command()
@click.argument(
    "places",
    metavar="RUN DATASET | ANSWERS.json...",
    nargs=-1,
    required=True,
    type=PlaceType(exists=True),
)
@click.option(
    "-o",
    "--out",
    type=FOLDER,
    help="The folder of the figures, the page and its files.  [default: RUN/evaluation]",
)
@config_options(
    EvaluateConfig,
    leave=SHARED,
    limit={"type": click.IntRange(1), "metavar": "N"},
    corpus={"type": click.Path(path_type=Path, exists=True)},
    recogniser={
        "flags": ("--wer",),
        "is_flag": False,
        "flag_value": WHISPER_BASE,
        "metavar": "[MODEL]",
        "show_default": False,
    },
    speaker_model={"metavar": "MODEL", "show_default": False},
    prompt_seconds=NUMBERS,
)
@config_options(
    ListeningConfig,
    listening_test={"type": FOLDER, "metavar": "FOLDER"},
    others={"flags": ("--with",), "type": DATASET, "multiple": True, "metavar": "RUN"},
    answers={"metavar": "KEY"},
)
@click.option(
    "--json", "as_json", is_flag=True, help="The figures are printed as JSON, not as a table."
)
@speaking_options
@cache_options
@clear_errors
def evaluate(
    places: tuple[str | Path, ...],
    out: Path | None,
    as_json: bool,
    device: str,
    codec_weights: Path | None,
    **options: Any,
) -> None:
    """Measure how well RUN speaks utterances of DATASET that it was not trained on.

    Recordings, codec copies, speech with true durations and pitch, and speech from text and prompt
    alone are compared: their wrong phones, spectra, pitch and durations. OUT/index.html plays and
    draws all of them. --protocol measures voices that RUN never heard; --listening-test makes a
    test for people, whose ANSWERS are counted by --answers.
    """
    listening = ListeningConfig(**{name: options.pop(name) for name in _LISTENING})
    if listening.answers is not None:
        _count(listening.answers, tuple(map(Path, places)), as_json=as_json)
        return
    if len(places) != 2 or any(isinstance(p, Path) and not p.is_dir() for p in places):
        raise click.UsageError("give the folders of a run and of a dataset: RUN DATASET")
    run, dataset = places
    given = {name: value for name, value in options.items() if value is not None or name == "codec"}
    config = EvaluateConfig(**given)
    if not (out or listening.listening_test or isinstance(run, Path)):
        raise click.UsageError("a run in a bucket is not written to: name a folder with -o")

    from ns2.train.run.copied import run_folder

    run = run_folder(run, checkpoints=config.weights is not None)
    work = Work(run, dataset, out, config, device, codec_weights)
    judged = config.recogniser or config.speaker_model or config.mos
    if listening.listening_test is not None and (out or as_json or config.protocol or judged):
        raise click.UsageError(
            "--listening-test writes its folder and measures nothing: leave out -o, --json, "
            "--protocol, --wer, --speaker-model and --mos"
        )
    if listening.listening_test is not None:
        _make_listening_test(work, listening, listening.listening_test)
    elif work.config.protocol:
        _zero_shot(work, as_json=as_json)
    else:
        _report(work, as_json=as_json)


@dataclass(frozen=True)
class Work:
    """What one evaluation is of: a run, a dataset, where results go, and how it is done."""

    run: Path
    dataset: str | Path
    out: Path | None
    config: EvaluateConfig
    device: str
    codec_weights: Path | None

    def voice(self, run: Path | None = None) -> Synthesizer:
        """The run, or another one, ready to speak."""
        from ns2.train.speak.synthesizer import Synthesizer

        config = self.config
        return Synthesizer.open(
            run or self.run,
            self.device,
            config.codec,
            self.codec_weights,
            config.weights,
            config.precision,
            config.compile,
        )


def _report(work: Work, *, as_json: bool) -> None:
    """Compare versions of utterances, and show the figures."""
    import json

    from ns2.pipeline.core.atomic import member_folder
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.train.evaluation.evaluator import Evaluator
    from ns2.train.evaluation.figures import render
    from ns2.train.evaluation.report import report
    from ns2.train.run.names import EVALUATION

    evaluator = Evaluator(
        synthesizer=work.voice(), dataset=Dataset(work.dataset), config=work.config
    )
    out = work.out or member_folder(work.run, EVALUATION)
    with display() as progress:
        found = report(evaluator, work.run, out, progress)
    if as_json:
        say(json.dumps(found, indent=2, ensure_ascii=False))
        return
    say(render(found["all"]))
    say(f"\nlisten and look: {out / 'index.html'}")


def _zero_shot(work: Work, *, as_json: bool) -> None:
    """Follow the zero-shot protocol, and show what it finds."""
    import json

    from ns2.pipeline.core.atomic import member_folder
    from ns2.pipeline.core.progress import display
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.train.evaluation.zero_shot.protocol import ZeroShot
    from ns2.train.evaluation.zero_shot.write import follow, shown
    from ns2.train.run.names import ZERO_SHOT

    protocol = ZeroShot(
        run=work.run, synthesizer=work.voice(), dataset=Dataset(work.dataset), config=work.config
    )
    out = work.out or member_folder(work.run, ZERO_SHOT)
    with display() as progress:
        found = follow(protocol, out, progress)
    if as_json:
        say(json.dumps(found, indent=2, ensure_ascii=False))
        return
    say(shown(found))
    say(f"tables, figures and wavs: {out}")


def _make_listening_test(work: Work, listening: ListeningConfig, folder: Path) -> None:
    """Make the folder of a listening test, and its key."""
    from ns2.pipeline.dataset.reader import Dataset
    from ns2.train.evaluation.listening.folder import check_new, write_test
    from ns2.train.evaluation.listening.samples import samples_of, system_names

    check_new(folder)  # before all is spoken
    runs = [work.run, *listening.others]
    dataset = Dataset(work.dataset)
    voices = [(name, work.voice(run)) for name, run in zip(system_names(runs), runs, strict=True)]
    named = zip(voices, runs, strict=True)
    mushra = listening.method == "mushra"
    key = write_test(
        folder,
        samples_of(voices, dataset, work.config, anchor=mushra),
        listening.method,
        seed=work.config.seed,
        rate=dataset.grid.sample_rate,
        about={
            "runs": {name: {"folder": str(run), "step": v.step} for (name, v), run in named},
            "dataset": dataset.card.digest,
            "split": work.config.split,
            "seed": work.config.seed,
        },
    )
    say(f"send to listeners: {folder}\nkeep to yourself: {key}")
    say(f"count what they send back: ns2 evaluate --answers {key} ANSWERS.json...")


def _count(key: Path, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Count the answers of a listening test."""
    import json

    from ns2.train.evaluation.listening.count import counted, shown

    found = counted(key, files)
    say(json.dumps(found, indent=2, ensure_ascii=False) if as_json else shown(found))
