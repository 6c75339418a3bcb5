"""Train the network of `--aligner-init bundled`, which has also heard people.

    python -m ns2.train.bundled.make_aligner_people WORK --lj LJSpeech-1.1 --real REAL
        [--out aligner_network_3.safetensors]

It learns two engines, in sentences and in single words: espeak-ng, in many voices and languages,
and Festival, whose voices are pieces of people's speech. Some of it lies between silences with
breath, clicks and noise, fades, is spoken in rooms or over noise. Then come rounds: the aligner
with the network so far labels recordings of people, and the network learns these beside the spoken
truth, each also spoilt; but not where their silences begin and end. The file has the mean of the
weights before and after the rounds, see `KEPT`.

WORK becomes a folder with the manifests of what is learned, with the examples, and with the weights
after each part. What is finished there is not made again, so that a run that was stopped goes on,
with the same settings. It takes three quarters of an hour of one core, 4 GB of memory and 3 GB of
disk. REAL is that of `make_mini`, whose `held_out` says what trains nothing. Festival and the
voices of `festival.py` have to be installed. The same machine makes the same bytes.

What moves borders and what judges them learn from this network: make them anew afterwards, by
`make_border_refiner` and then `make_border_confidence`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from ns2.model.aligner.evidence import FrameNet
from ns2.model.log_mel import LogMel
from ns2.pipeline.align.aligner_file import default_config
from ns2.pipeline.align.bundled_network import HEADER, network_file, network_of
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.reading import parse_json
from ns2.train.bundled.aligner_people.festival import (
    HEARD,
    VOICES,
    festival_sentences,
    festival_words,
)
from ns2.train.bundled.aligner_people.learning import (
    Example,
    learn,
    load_examples,
    save_examples,
    without_edges,
)
from ns2.train.bundled.aligner_people.people import aligned, recordings_of
from ns2.train.bundled.aligner_people.surroundings import (
    faded,
    quiet_room,
    single_words,
    surrounded,
    worn,
)
from ns2.train.bundled.arguments import recordings_arguments
from ns2.train.bundled.labelled_speech import Labelled, labelled_speech
from ns2.train.bundled.make_aligner_network import FEATURES, labels
from ns2.train.bundled.make_mini import recordings

CREDITS = Path(__file__).with_name("CREDITS.md")
"""What was learned from, with licences; its text goes into the metadata of the weights."""
SENTENCES, WORDS, PIECES = 12000, 6000, 700
"""Utterances of espeak-ng of both kinds, and how many of both kinds each voice of Festival has."""
MINUTES, SEED = 8.0, 5
"""The most minutes of each corpus of people; the seed."""
WIDTH, STEPS, ROUNDS, ROUND_STEPS = 192, 18000, 1, 1000
RATE, ROUND_RATE = 3e-3, 1e-3
"""The highest rates of learning, before the rounds and in them."""
SHARES = {"sentences": 0.4, "words": 0.2, "pieces": 0.22, "pieces-alone": 0.18}
"""How often the kinds of speech are drawn."""
PEOPLE = 0.2
"""How often people are drawn in the rounds, beside these."""
KEPT = 0.45
"""The share of the weights before the rounds in the mean."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the docstring of the module."""
    args = _arguments(arguments)
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    _check_settings(args)
    began = time.monotonic()

    # Each part is read back from its file, so that it does not matter which run made it.
    mels, phones = LogMel().config.bins, network_of(network_file("bundled-1").read_bytes())[1]
    spoken = [
        (share, _made(args.work / f"{name}.safetensors", _speech(args, name), phones))
        for name, share in SHARES.items()
    ]
    examples = sum(len(kind) for _, kind in spoken)
    print(f"{examples} examples, {time.monotonic() - began:.0f} s", flush=True)
    torch.manual_seed(SEED)
    first = args.work / "round0.safetensors"
    network = FrameNet(mels, WIDTH, FEATURES, len(phones))
    _learned(first, network, phones, spoken, args.steps, RATE)
    before, _ = network_of(first.read_bytes())
    after, _ = network_of(first.read_bytes())
    for number in range(1, args.rounds + 1):
        people = _people(args, number, after, phones)
        print(f"round {number}: {time.monotonic() - began:.0f} s", flush=True)
        out = args.work / f"round{number}.safetensors"
        kinds = [*spoken, (PEOPLE, people)]
        _learned(out, after, phones, kinds, args.round_steps, ROUND_RATE)
        after, _ = network_of(out.read_bytes())
    new = after.state_dict()
    mean = {name: KEPT * old + (1 - KEPT) * new[name] for name, old in before.state_dict().items()}
    before.load_state_dict(mean)
    _save(args.out, before, phones)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {time.monotonic() - began:.0f} s")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = recordings_arguments("make_aligner_people")
    add = parser.add_argument
    add("--out", type=Path, default=network_file("bundled"), help="The file to write.")
    for name, default, help in (
        ("sentences", SENTENCES, "The number of sentences that espeak-ng speaks."),
        ("words", WORDS, "The number of single words that espeak-ng speaks."),
        ("pieces", PIECES, "The number of sentences, and of words, of each voice of Festival."),
        ("steps", STEPS, "The number of training steps before the rounds."),
        ("rounds", ROUNDS, "The number of rounds in which people are labelled and learned."),
        ("round-steps", ROUND_STEPS, "The number of training steps of a round."),
    ):
        add(f"--{name}", type=int, default=default, help=help)
    add("--minutes", type=float, default=MINUTES, help="The most minutes of a corpus of people.")
    return parser.parse_args(given)


def _check_settings(args: argparse.Namespace) -> None:
    """Write the settings into WORK, or compare them with those that are there."""
    path = args.work / "settings.json"
    settings = {n: str(value) for n, value in vars(args).items() if n not in ("work", "out")}
    if path.is_file() and parse_json(path.read_text("utf-8")) != settings:
        raise SystemExit(f"error: {path} has other settings; delete {args.work} or take another")
    path.write_text(json.dumps(settings, indent=1), "utf-8")


def _speech(
    args: argparse.Namespace, kind: str
) -> Callable[[np.random.Generator], Iterator[Labelled]]:
    """What makes one kind of speech; some sentences and all words lie between silences."""
    kinds: dict[str, tuple[int, Callable[[], Iterator[Labelled]]]] = {
        "sentences": (4, lambda: labelled_speech(args.sentences, SEED)),
        "words": (1, lambda: single_words(args.words, SEED)),
        "pieces": (2, lambda: _festival(festival_sentences, args.pieces)),
        "pieces-alone": (1, lambda: _festival(festival_words, args.pieces)),
    }
    every, utterances = kinds[kind]

    def speech(rng: np.random.Generator) -> Iterator[Labelled]:
        for i, one in enumerate(utterances()):
            yield one if i % every else surrounded(one, rng)

    return speech


def _festival(
    speak: Callable[[int, int, str], Iterator[Labelled]], count: int
) -> Iterator[Labelled]:
    """Utterances of the voices that teach, three times as many of the only one of English."""
    for voice in HEARD:
        yield from speak(3 * count if VOICES[voice].language == "en-us" else count, SEED, voice)


def _made(
    path: Path, speech: Callable[[np.random.Generator], Iterable[Labelled]], phones: Sequence[str]
) -> list[Example]:
    """The examples of an engine's utterances: some fade, and each is there once more, worn."""
    if not path.is_file():
        rng = _random(path)
        versions = (
            version
            for u in speech(rng)
            for version in (
                replace(u, wave=quiet_room(faded(u, rng).wave, rng)),
                replace(u, wave=worn(u.wave, rng)),
            )
        )
        save_examples(path, [*_examples(versions, phones)])
    return load_examples(path)


def _people(
    args: argparse.Namespace, number: int, network: FrameNet, phones: Sequence[str]
) -> list[Example]:
    """The examples of recordings of people, as they are and worn, labelled with a network."""
    path = args.work / f"people{number}.safetensors"
    if not path.is_file():
        rng, config = _random(path), default_config()
        labelled = (
            replace(u, wave=wave)
            for manifest in recordings(args.work, args.lj, args.real)
            for u in aligned(recordings_of(manifest, args.minutes), network, phones, config)
            for wave in (u.wave, worn(u.wave, rng))
        )
        save_examples(path, [without_edges(one) for one in _examples(labelled, phones)])
    return load_examples(path)


def _learned(
    path: Path,
    network: FrameNet,
    phones: Sequence[str],
    kinds: Sequence[tuple[float, Sequence[Example]]],
    steps: int,
    rate: float,
) -> None:
    """Train a network on the kinds that there are and write it, unless that was done."""
    if not path.is_file():
        learn(network, [kind for kind in kinds if kind[1]], steps, rate, _random(path))
        _save(path, network, phones)


def _random(path: Path) -> np.random.Generator:
    """The random numbers of the part that a file has."""
    return np.random.default_rng([SEED, *path.stem.encode()])


def _examples(speech: Iterable[Labelled], phones: Sequence[str]) -> Iterator[Example]:
    """The examples of utterances."""
    transform = LogMel()
    for utterance in speech:
        mel = transform(torch.from_numpy(utterance.wave)).half()
        classes, borders = labels(utterance, mel.shape[1], list(phones))
        yield Example(mel, classes.short(), borders)


def _save(path: Path, network: FrameNet, phones: Sequence[str]) -> None:
    """Write a network in half precision, with its phones and credits in one entry.

    Several entries would be written in random order.
    """
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    about = {"phones": list(phones), "credits": CREDITS.read_text("utf-8")}
    with atomic_write(path) as file:
        file.write(save(tensors, {HEADER: json.dumps(about, ensure_ascii=False)}))


if __name__ == "__main__":
    main()
