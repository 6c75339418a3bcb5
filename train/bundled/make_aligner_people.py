"""Train the network of `--aligner-init bundled`, which has also heard people.

    python -m ns2.train.bundled.make_aligner_people WORK --lj LJSpeech-1.1 --real REAL
        [--out aligner_network_2.safetensors] [--init aligner_network.safetensors]

It begins with the weights of `make_aligner_network`. First it learns speech of espeak-ng, in
sentences and in single words, between silences with breath and clicks, in rooms and over noise.
Then come rounds: the aligner with the network so far labels recordings of people, and the network
learns these beside the spoken truth, each also spoilt; but not where their silences begin and end.
The file has the mean of the weights before and after the rounds, see `KEPT`. WORK becomes a folder
with the manifests of what is learned and the weights after each part; REAL is that of `make_mini`,
whose `held_out` says what trains nothing. The same machine makes the same bytes.

The weights that ship were made by two runs, the second one with what the first one had learned:
`--rounds 0`, then `--init WORK/round0.safetensors --sentences 600 --words 600 --steps 50`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from ns2.model.aligner.evidence import FrameNet
from ns2.model.log_mel import LogMel
from ns2.pipeline.align.aligner_file import default_config
from ns2.pipeline.align.bundled_network import HEADER, network_file, network_of
from ns2.train.bundled.aligner_people.learning import Example, learn, without_edges
from ns2.train.bundled.aligner_people.people import aligned, recordings_of
from ns2.train.bundled.aligner_people.surroundings import single_words, surrounded, worn
from ns2.train.bundled.arguments import recordings_arguments
from ns2.train.bundled.labelled_speech import Labelled, labelled_speech
from ns2.train.bundled.make_aligner_network import labels
from ns2.train.bundled.make_mini import recordings

CREDITS = Path(__file__).with_name("CREDITS.md")
"""What was learned from, with licences; its text goes into the metadata of the weights."""
SENTENCES, WORDS, MINUTES, SEED = 1500, 1500, 8.0, 4
"""Utterances of espeak-ng of both kinds; the most minutes of each corpus of people; the seed."""
STEPS, ROUNDS, ROUND_STEPS = 3500, 1, 1000
SHARES = (0.4, 0.25, 0.35)
"""How often sentences, single words and people are drawn."""
KEPT = 5 / 6
"""The share of the weights before the rounds in the mean. Without it, errors on speech of engines
grew by a tenth."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the docstring of the module."""
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
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    args.work.mkdir(parents=True, exist_ok=True)
    began, rng = time.monotonic(), np.random.default_rng(SEED)

    network, phones = network_of(args.init.read_bytes())
    sentences = (surrounded(u, rng) for u in labelled_speech(args.sentences, SEED))
    words = (surrounded(u, rng) for u in single_words(args.words, SEED))
    spoken = [[*_examples(kind, phones, rng)] for kind in (sentences, words)]
    print(f"{sum(map(len, spoken))} examples, {time.monotonic() - began:.0f} s", flush=True)
    learn(network, [*zip(SHARES, spoken, strict=False)], args.steps, rng)
    _save(args.work / "round0.safetensors", network, phones)
    before = deepcopy(network.state_dict())

    manifests = recordings(args.work, args.lj, args.real)
    corpora = [recordings_of(path, args.minutes) for path in manifests]
    config = default_config()
    for number in range(args.rounds):
        labelled = (u for corpus in corpora for u in aligned(corpus, network, phones, config))
        people = [without_edges(one) for one in _examples(labelled, phones, rng)]
        print(f"round {number + 1}: {time.monotonic() - began:.0f} s", flush=True)
        learn(network, [*zip(SHARES, [*spoken, people], strict=True)], args.round_steps, rng)
        _save(args.work / f"round{number + 1}.safetensors", network, phones)
    after = network.state_dict()
    network.load_state_dict({n: KEPT * v + (1 - KEPT) * after[n] for n, v in before.items()})
    _save(args.out, network, phones)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {time.monotonic() - began:.0f} s")


def _examples(
    speech: Iterable[Labelled], phones: Sequence[str], rng: np.random.Generator
) -> Iterator[Example]:
    """The examples of utterances: each as it is, and worn."""
    transform = LogMel()
    for utterance in speech:
        for wave in (utterance.wave, worn(utterance.wave, rng)):
            mel = transform(torch.from_numpy(wave)).half()
            yield Example(mel, *labels(utterance, mel.shape[1], list(phones)))


def _save(path: Path, network: FrameNet, phones: Sequence[str]) -> None:
    """Write a network in half precision, with its phones and credits in one entry.

    Several entries would be written in random order.
    """
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    about = {"phones": list(phones), "credits": CREDITS.read_text("utf-8")}
    save_file(tensors, path, {HEADER: json.dumps(about, ensure_ascii=False)})


if __name__ == "__main__":
    main()
