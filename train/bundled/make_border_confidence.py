"""Fit the network that says how likely an alignment's borders are right.

    python -m ns2.train.bundled.make_border_confidence WORK [--out border_confidence.json]

It learns from corpora whose borders are known: espeak-ng and the voices of Festival from which the
aligner's network learned speak them in several languages, clean, in rooms and over noise, in one
voice or many, and an aligner is trained on each, mostly with the network that comes with ns2, and
sometimes without. In half of them some phones go by the names of others, as where an engine or an
accent has other phones than a text says. Then each recording is aligned with its text and with
texts that are wrong as a whole or in some words, which have no right borders. WORK becomes a folder
with what each corpus gave; a run that was stopped goes on. It takes half an hour on one core.
Festival and its voices have to be installed, as for `make_aligner_people`.

Recordings of people teach nothing here: where their borders lie only aligners could say, and
networks that had learned from that were wrong more often about people and about engines that they
did not know.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ns2.model.aligner.border_evidence import EVIDENCE
from ns2.model.aligner.confidence import BorderNet
from ns2.pipeline.align.border_confidence import WEIGHTS
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.corpora.spoken.espeak import SENTENCES
from ns2.train.bundled.aligner_people.festival import HEARD, VOICES, festival_sentences
from ns2.train.bundled.aligner_people.surroundings import worn
from ns2.train.bundled.border_trust.fitting import Borders, borders_of, fitted
from ns2.train.bundled.border_trust.judged import Corpus, Judged
from ns2.train.bundled.border_trust.told import Told, renamed, sentences_told, told_of
from ns2.train.bundled.labelled_speech import VARIANTS, sentence, spoil

CREDITS = Path(__file__).with_name("CREDITS.md")
SEED = 7000
CORPORA, WITHOUT = 90, 18
"""Corpora whose aligners have the network that comes with ns2, and others whose have none."""
_LANGUAGE = "en-us"
_DIGITS = 4
"""Significant digits of the weights."""

Wear = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Spec:
    """A corpus that an engine speaks.

    Attributes:
        language: of its sentences.
        wear: what is done to the recordings; None for nothing.
        utterances: how many there are.
        voices: the number of voices, drawn from `VARIANTS`, or the most of Festival's.
        renamed: the number of phones that go by another's name.
        festival: whether Festival speaks it, and not espeak-ng.
    """

    language: str
    wear: Wear | None
    utterances: int = 24
    voices: int = len(VARIANTS)
    renamed: int = 0
    festival: bool = False


LANGUAGES = (
    "en-us", "en-us", "en-us", "de", "fr", "pl", "es", "pt",
    "nl", "ru", "sv", "en-gb-scotland", "en-us", "cs", "fi", "tr",
)  # fmt: skip
_WEAR = (None, worn, worn, spoil)
_SIZES = (12, 24, 24, 48, 48, 96, 96, 192)
_VOICES = (1, 4, len(VARIANTS), len(VARIANTS))
_RENAMED = (0, 0, 0, 2, 4, 8)
_FESTIVAL = 0.25
"""The share of corpora that Festival speaks."""


def drawn(rng: random.Random) -> Spec:
    """Draw a corpus: an aligner that learned from few recordings errs in other ways than one that
    learned from many."""
    language, wear, size = rng.choice(LANGUAGES), rng.choice(_WEAR), rng.choice(_SIZES)
    found = Spec(language, wear, size, rng.choice(_VOICES), rng.choice(_RENAMED))
    if rng.random() < _FESTIVAL:
        voice = VOICES[rng.choice(HEARD)]
        return replace(found, language=voice.language, festival=True)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the docstring of the module."""
    parser = argparse.ArgumentParser(prog="python -m ns2.train.bundled.make_border_confidence")
    parser.add_argument("work", type=Path, metavar="WORK", help="The folder to work in.")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="The file to write.")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    began, found = time.monotonic(), list[Borders]()
    for number in range(CORPORA + WITHOUT):
        kept = _kept(args.work / f"corpus{number}.npz", began, _judged(number))
        found.append(counted(kept, _spec(number).utterances))
    write_net(fitted(found, SEED), args.out)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {time.monotonic() - began:.0f} s")


def _kept(path: Path, began: float, made: Iterator[Judged]) -> Borders:
    """The borders of a corpus, which are kept in a file."""
    if not path.is_file():
        found = borders_of([*made])
        with atomic_write(path) as file:
            np.savez_compressed(file, evidence=found[0], wrong=found[1], weight=found[2])
    with np.load(path) as file:
        evidence, wrong, weight = (file[name] for name in ("evidence", "wrong", "weight"))
    print(
        f"{path.stem}: {len(wrong)} borders, {weight @ wrong:.1%} wrong, "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    return evidence, wrong, weight


def counted(borders: Borders, utterances: int) -> Borders:
    """The borders of a corpus that counts by its size.

    The more an aligner has learned from, the more of its borders are right that look doubtful, and
    people have more recordings than most of the corpora here.
    """
    evidence, wrong, weight = borders
    return evidence, wrong, weight * utterances


def _spec(number: int) -> Spec:
    return drawn(random.Random(SEED + number))


def _judged(number: int) -> Iterator[Judged]:
    rng = random.Random(SEED + number)
    spec = drawn(rng)
    speak = spoken_by_festival if spec.festival else spoken
    told = renamed([*speak(spec, SEED + number)], spec.renamed, rng)
    yield from Corpus(told, "bundled" if number < CORPORA else "none", number).judged()


def spoken(spec: Spec, seed: int, variants: Sequence[str] = VARIANTS) -> Iterator[Told]:
    """Sentences as espeak-ng speaks them, and as they are recorded."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    chosen = rng.sample(variants, min(spec.voices, len(variants)))

    def text() -> str:
        if spec.language == _LANGUAGE and rng.random() < 0.5:
            return " ".join(rng.sample(SENTENCES, rng.randint(1, 2)))
        return sentence(rng, spec.language)

    voices = [f"{spec.language}+{variant}".rstrip("+") for variant in chosen]
    for told in sentences_told(spec.utterances, rng, voices, text):
        wave = told.wave if spec.wear is None else spec.wear(told.wave, noise)
        yield Told(wave.astype(np.float32), told.words)


def spoken_by_festival(spec: Spec, seed: int) -> Iterator[Told]:
    """The same by Festival's voices of the language, each of which speaks as many sentences.

    Raises:
        SystemExit: Festival or a voice is not installed.
    """
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    fitting = [voice for voice in HEARD if VOICES[voice].language == spec.language]
    chosen = rng.sample(fitting, min(spec.voices, len(fitting)))
    count = math.ceil(spec.utterances / len(chosen))
    for voice in chosen:
        for one in festival_sentences(count, seed, voice):
            wave = one.wave if spec.wear is None else spec.wear(one.wave, noise)
            yield told_of(replace(one, wave=wave), rng)


def write_net(network: BorderNet, path: Path) -> None:
    """Write a network with the kinds of its evidence, and what was learned from."""
    weights = {name: _rounded(np.asarray(value)) for name, value in vars(network).items()}
    found = {
        "evidence": EVIDENCE,
        "weights": weights,
        "credits": CREDITS.read_text("utf-8"),
    }
    with atomic_write(path) as file:
        file.write((json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode())


def _rounded(values: np.ndarray) -> object:
    digits = [float(f"{value:.{_DIGITS}g}") for value in values.reshape(-1)]
    return np.array(digits).reshape(values.shape).tolist()


if __name__ == "__main__":
    main()
