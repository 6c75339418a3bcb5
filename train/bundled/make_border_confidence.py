"""Fit the network that says how likely an alignment's borders are right.

    python -m ns2.train.bundled.make_border_confidence WORK --lj LJSpeech-1.1 --real REAL
        [--out border_confidence.json]

It learns from corpora whose borders are known: espeak-ng speaks them in several languages, clean,
in rooms and over noise, and an aligner is trained on each. Then each recording is aligned with its
text and with texts that are wrong as a whole or in some words, which have no right borders. In
recordings of people the exchanged words are what is known; where their other borders lie two
aligners say, and a border on which they disagree counts as wrong by a fifth. REAL is that of
`make_mini`, whose `held_out` says what trains nothing. WORK becomes a folder with what each corpus
gave; a run that was stopped goes on. It takes some minutes on one core.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ns2.model.aligner.border_evidence import EVIDENCE
from ns2.model.aligner.confidence import BorderNet
from ns2.pipeline.align.aligner_file import AlignerInit
from ns2.pipeline.align.border_confidence import WEIGHTS
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.corpora.corpus import audio_path
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.corpora.spoken.espeak import SENTENCES
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.bundled.aligner_people.surroundings import worn
from ns2.train.bundled.arguments import recordings_arguments
from ns2.train.bundled.border_trust.fitting import Borders, borders_of, fitted
from ns2.train.bundled.border_trust.judged import DISPUTED, Corpus, Judged
from ns2.train.bundled.border_trust.told import Told, Word, sentences_told
from ns2.train.bundled.labelled_speech import SAMPLE_RATE, VARIANTS, sentence, spoil
from ns2.train.bundled.make_mini import recordings

CREDITS = Path(__file__).with_name("CREDITS.md")
SEED, MINUTES = 21, 4.0
"""The seed, and the most minutes of each corpus of people."""
DISPUTED_WRONG = 0.2
"""How likely a border of the better of two aligners is wrong where they disagree."""
_LANGUAGE = "en-us"
_DIGITS = 4
"""Significant digits of the weights."""

Wear = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Spec:
    """A corpus that espeak-ng speaks.

    Attributes:
        language: of its sentences.
        wear: what is done to the recordings; None for nothing.
        init: what its aligner starts from.
        utterances: how many there are; with few, an aligner knows little.
        voices: the number of voices, drawn from `VARIANTS`.
    """

    language: str
    wear: Wear | None
    init: AlignerInit = "bundled"
    utterances: int = 24
    voices: int = len(VARIANTS)


SPOKEN = (
    Spec("en-us", None, utterances=32),
    Spec("en-us", worn, utterances=32),
    Spec("en-us", spoil, "none"),
    Spec("en-us", None, utterances=6),
    Spec("en-us", worn, utterances=8),
    Spec("en-us", spoil, utterances=32),
    Spec("en-us", worn, voices=1),
    Spec("de", spoil),
    Spec("fr", worn),
    Spec("en-us", worn, "bundled-1"),
    Spec("pl", worn),
    Spec("es", spoil, utterances=10, voices=1),
    Spec("fr", None, utterances=16),
    Spec("de", None, utterances=16),
    Spec("pt", worn, utterances=16),
    Spec("nl", None, utterances=16, voices=4),
    Spec("ru", worn, utterances=16),
    Spec("sv", spoil, utterances=16),
    Spec("en-us", None, "none", utterances=16),
    Spec("en-gb-scotland", worn, utterances=16),
)
"""The corpora of known borders."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the docstring of the module."""
    parser = recordings_arguments("make_border_confidence")
    add = parser.add_argument
    add("--out", type=Path, default=WEIGHTS, help="The file to write.")
    add("--minutes", type=float, default=MINUTES, help="The most minutes of a corpus of people.")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    began, found = time.monotonic(), list[Borders]()
    for number, spec in enumerate(SPOKEN):
        found.append(_kept(args.work / f"spoken{number}.npz", began, _spoken_borders(number, spec)))
    for manifest in recordings(args.work, args.lj, args.real):
        path = args.work / f"{manifest.stem}.npz"
        found.append(_kept(path, began, _people_borders(manifest, args.minutes)))
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
    return evidence, np.where(wrong == DISPUTED, DISPUTED_WRONG, wrong), weight


def _spoken_borders(number: int, spec: Spec) -> Iterator[Judged]:
    yield from Corpus([*spoken(spec, SEED + number)], spec.init, number).judged()


def _people_borders(manifest: Path, minutes: float) -> Iterator[Judged]:
    told = people(manifest, minutes)
    yield from Corpus(told, "bundled", SEED).judged(Corpus(told, "none", SEED))


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


def people(manifest: Path, minutes: float) -> list[Told]:
    """Recordings from all over a corpus, of so many minutes at most, with their words."""
    corpus, optional = read_corpus(manifest), PhonemeTable.default().optional
    told = []
    for utterance in corpus.utterances:
        wave, rate = read_audio(audio_path(corpus.root, utterance), utterance.piece)
        said = pronounce(utterance.text or "", utterance.language or _LANGUAGE)
        words = []
        for _, first, behind in said.words:
            phones = tuple(token for token in said.tokens[first:behind] if token not in optional)
            words.append(Word(phones, (np.nan,) * len(phones), np.nan))
        wave = resample(wave, rate, SAMPLE_RATE).astype(np.float32)
        told.append(Told(wave, tuple(words)))
    seconds = sum(len(one.wave) for one in told) / SAMPLE_RATE
    kept = min(1.0, 60 * minutes / max(seconds, 1e-9))
    return [one for i, one in enumerate(told) if int((i + 1) * kept) > int(i * kept)]


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
