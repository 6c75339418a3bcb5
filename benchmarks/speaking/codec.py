"""The codecs `mini` and EnCodec on one core: their speed, and the quality of `mini`.

    python -m benchmarks.codec [--seconds 60] [--corpus DIR] [--words] [--out DIR]

Speeds are medians of several rounds, in which the codecs take turns, on sentences that espeak-ng
synthesises; EnCodec has seeded weights, which have the speed of trained ones. `--corpus` also
measures `mini` on recordings, as `ns2 codec eval` does; with `--words` pocketsphinx, which has to
be installed, recognises them before and after coding.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.support.command import arguments as argument_parser
from benchmarks.support.machine import machine, show_machine, verdict
from ns2.model.codec.encodec import EncodecCodec
from ns2.model.codec.interface import Codec, one_thread
from ns2.model.codec.loading import load_codec
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.corpora.corpus import recording_of
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.train.codec.measure import evaluate, render
from ns2.train.evaluation.judges.recognisers import POCKETSPHINX, open_recogniser
from ns2.train.evaluation.judges.words import spoken_words, word_errors
from tests.support.seeded_encodec import spoken, spoken_encodec

ENCODE_LIMIT, DECODE_LIMIT = 10.0, 7.0
"""How many times as fast as EnCodec `mini` has to be."""
WORDS_LIMIT = 0.05
ROUNDS = 5
RATE = 24_000


def speeds(seconds: float) -> dict[str, dict[str, float]]:
    """Return the speed of encoding and decoding by codec, in multiples of real time."""
    speech = np.concatenate(spoken())
    speech = np.tile(speech, int(np.ceil(seconds * RATE / len(speech))))[: int(seconds * RATE)]
    waves = [torch.tensor(wave) for wave in np.array_split(speech, max(1, round(seconds / 6)))]
    codecs: dict[str, Codec] = {
        "mini": load_codec("mini"),
        "encodec_24khz": EncodecCodec(spoken_encodec(), 16),
    }
    times: dict[tuple[str, str], list[float]] = {}
    with one_thread(), torch.inference_mode():
        codes = {name: [codec.encode(w) for w in waves] for name, codec in codecs.items()}
        for _ in range(ROUNDS):
            for name, codec in codecs.items():
                for kind, work, inputs in (
                    ("encode", codec.encode, waves),
                    ("decode", codec.decode, codes[name]),
                ):
                    began = time.perf_counter()
                    for given in inputs:
                        work(given)
                    spent = time.perf_counter() - began
                    times.setdefault((name, kind), []).append(spent)
    return {
        name: {
            kind: seconds / statistics.median(times[name, kind]) for kind in ("encode", "decode")
        }
        for name in codecs
    }


def recognition(corpus: Path) -> dict[str, float]:
    """Return the word error rate of pocketsphinx on recordings and on copies by `mini`."""
    recogniser, codec = open_recogniser(POCKETSPHINX), load_codec("mini")
    found, words = {"recordings": 0, "mini": 0}, 0
    read = read_corpus(corpus)
    for utterance in read.utterances:
        wave = resample(*read_audio(recording_of(read.root, utterance), utterance.piece), RATE)
        made = codec.decode(codec.encode(torch.from_numpy(wave)))[: len(wave)].numpy()
        language = utterance.language or "en-us"
        said = spoken_words(utterance.text, language)
        words += len(said)
        for name, heard in (("recordings", wave), ("mini", made)):
            text = recogniser.text(heard, RATE, language)
            found[name] += word_errors(spoken_words(text, language), said).total
    return {name: errors / words for name, errors in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the module's docstring."""
    parser = argument_parser("benchmarks.codec", __doc__)
    add = parser.add_argument
    add(
        "--seconds",
        type=float,
        default=60.0,
        help="The seconds of speech for the speeds.  [default: %(default)g]",
    )
    add(
        "--corpus",
        type=Path,
        action="append",
        default=[],
        help="A corpus of recordings that mini is measured on; may be repeated.",
    )
    add("--words", action="store_true", help="Words in the corpora are recognised too.")
    add(
        "--out",
        type=Path,
        default=Path("build/benchmarks"),
        help="The folder that codec.json is written to.  [default: %(default)s]",
    )
    args = parser.parse_args(arguments)
    figures: dict[str, Any] = {"machine": machine(), "speeds": speeds(args.seconds)}
    show_machine(figures["machine"], 1)
    for name, found in figures["speeds"].items():
        print(f"{name:<14} encodes {found['encode']:6.0f}x, decodes {found['decode']:6.0f}x")
    mini, peer = (figures["speeds"][name] for name in ("mini", "encodec_24khz"))
    encodes, decodes = (mini[kind] / peer[kind] for kind in ("encode", "decode"))
    fast = encodes >= ENCODE_LIMIT and decodes >= DECODE_LIMIT
    print(
        f"{verdict(fast)}: mini encodes {encodes:.1f} times as fast as EnCodec, decodes "
        f"{decodes:.1f} times (at least {ENCODE_LIMIT:g} and {DECODE_LIMIT:g})"
    )
    for corpus in args.corpus:
        found = evaluate(load_codec("mini"), corpus, Progress())
        figures[str(corpus)] = found
        print(f"\n{corpus}\n{render(found)}")
        if args.words:
            wrong = figures[f"{corpus}: words"] = recognition(corpus)
            print(f"  word errors      {wrong['recordings']:.1%}, by mini {wrong['mini']:.1%}")
            good = wrong["mini"] <= wrong["recordings"] + WORDS_LIMIT
            print(f"  {verdict(good)}: at most {WORDS_LIMIT:.0%} more")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "codec.json").write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
