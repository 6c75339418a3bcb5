"""Train the network of `--aligner-init bundled`, which has also heard people.

    python -m ns2.train.bundled.make_aligner_people WORK --lj LJSpeech-1.1 --real REAL
        [--out aligner_network_2.safetensors] [--init aligner_network.safetensors]

It begins with the weights of `make_aligner_network`. First it learns speech of espeak-ng, in
sentences and in single words, some of it between silences with breath and clicks, fading, in rooms
and over noise. Then come rounds: the aligner with the network so far labels recordings of people,
and the network learns these beside the spoken truth, each also spoilt; but not where their silences
begin and end. The file has the mean of the weights before and after the rounds, see `KEPT`.

WORK becomes a folder with the manifests of what is learned, with the examples, and with the weights
after each part. What is finished there is not made again, so that a run that was stopped goes on,
with the same settings. It takes some ten minutes of one core.
REAL is that of `make_mini`, whose `held_out` says what trains nothing. The same machine makes the
same bytes.

The weights that ship are older: they were made by two runs, without speech that fades, and with
other settings. docs/architecture.md compares them with what this command makes.
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
from ns2.train.bundled.make_aligner_network import labels
from ns2.train.bundled.make_mini import recordings

CREDITS = Path(__file__).with_name("CREDITS.md")
"""What was learned from, with licences; its text goes into the metadata of the weights."""
SENTENCES, WORDS, MINUTES, SEED = 2000, 1000, 3.0, 5
"""Utterances of espeak-ng of both kinds; the most minutes of each corpus of people; the seed."""
STEPS, ROUNDS, ROUND_STEPS = 3000, 1, 500
SHARES = (0.55, 0.25, 0.2)
"""How often sentences, single words and people are drawn."""
KEPT = 2 / 3
"""The share of the weights before the rounds in the mean."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the docstring of the module."""
    args = _arguments(arguments)
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    _check_settings(args)
    began = time.monotonic()

    # Each part is read back from its file, so that it does not matter which run made it.
    network, phones = network_of(args.init.read_bytes())
    spoken = [
        _made(args.work / f"{name}.safetensors", speech, phones)
        for name, speech in (
            ("sentences", lambda rng: _sentences(args.sentences, rng)),
            ("words", lambda rng: (surrounded(u, rng) for u in single_words(args.words, SEED))),
        )
    ]
    print(f"{sum(map(len, spoken))} examples, {time.monotonic() - began:.0f} s", flush=True)
    first = args.work / "round0.safetensors"
    _learned(first, network, phones, [*zip(SHARES, spoken, strict=False)], args.steps)
    before, _ = network_of(first.read_bytes())
    after, _ = network_of(first.read_bytes())
    for number in range(1, args.rounds + 1):
        people = _people(args, number, after, phones)
        print(f"round {number}: {time.monotonic() - began:.0f} s", flush=True)
        out = args.work / f"round{number}.safetensors"
        kinds = [*zip(SHARES, [*spoken, people], strict=True)]
        _learned(out, after, phones, kinds, args.round_steps)
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
    add("--init", type=Path, default=network_file("bundled-1"), help="The weights to begin with.")
    for name, default, help in (
        ("sentences", SENTENCES, "The number of sentences that espeak-ng speaks."),
        ("words", WORDS, "The number of single words that espeak-ng speaks."),
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


def _sentences(count: int, rng: np.random.Generator) -> Iterator[Labelled]:
    """Sentences, as espeak-ng speaks them and between silences in turn."""
    for i, utterance in enumerate(labelled_speech(count, SEED)):
        yield surrounded(utterance, rng) if i % 2 else utterance


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
) -> None:
    """Train a network and write it, unless that was done."""
    if not path.is_file():
        torch.manual_seed(SEED)
        learn(network, kinds, steps, _random(path))
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
