"""How many phones the phone classifier gets wrong, of recordings and of copies by a codec.

    python -m benchmarks.phones [--classifier FILE]... [--codec NAME|FILE] [--lj DIR] [--real DIR]
        [--json FILE]

Phones wrong, in per cent: of recordings as they are, of copies by all of a codec's quantisers, by
the first 4, 2 and 1, of copies with noise of half the latents' deviation, and of recordings that
are reversed, where nothing is understood. espeak-ng speaks in voices that no classifier of ns2 has
learned; --lj and --real take the English groups of `benchmarks.copies`, which none has learned
either. Each --classifier is a file of `ns2.train.bundled.make_phone_classifier`, to compare several
in one run; the package's is always among them.

Letters for shapes: S samples, D latent width, T frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.codecs.copy_groups import lj_group, real_groups
from benchmarks.support.command import add_json, arguments, write_json
from benchmarks.support.machine import machine, show_machine
from ns2.model.codec.interface import Codec, CodecError
from ns2.model.codec.loading import load_codec
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, VOICES, speak
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.evaluation.judges.phones import (
    SAMPLE_RATE,
    PhoneClassifier,
    bare_phones,
    load_phone_classifier,
    phone_errors,
)

LANGUAGE = "en-us"
PACKAGE = "package"
"""The name of the classifier that comes with ns2."""
_NOISE = 0.5

Spoken = tuple[list[str], np.ndarray]
"""The phones of a text, and a wave (S,) at `SAMPLE_RATE`."""


def parsed(given: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = arguments("benchmarks.phones", __doc__)
    parser.add_argument(
        "--classifier",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="The file of another classifier; may be repeated.",
    )
    parser.add_argument(
        "--codec", default="mini", metavar="NAME|FILE", help="The codec that makes the copies."
    )
    parser.add_argument("--lj", type=Path, metavar="DIR", help="The folder of LJSpeech.")
    parser.add_argument(
        "--real", type=Path, metavar="DIR", help="The folder of the corpora of real people."
    )
    add_json(parser)
    return parser.parse_args(given)


def groups_of(args: argparse.Namespace) -> Iterator[tuple[str, list[Spoken]]]:
    """The speech of each group."""
    spoken = []
    for number, text in enumerate(SENTENCES):
        samples, rate, _ = speak(text, VOICES[number % len(VOICES)])
        wave = resample(samples.astype(np.float32) / 32768, rate, SAMPLE_RATE)
        spoken.append((_phones(text), wave.astype(np.float32)))
    yield "espeak-ng", spoken
    groups = {} if args.lj is None else {"LJSpeech": lj_group(args.lj)}
    groups |= {} if args.real is None else real_groups(args.real)
    for name, clips in groups.items():
        if all(clip.english for clip in clips):
            waves = [resample(*read_audio(clip.path), SAMPLE_RATE) for clip in clips]
            yield (
                name,
                [
                    (_phones(clip.text), wave.astype(np.float32))
                    for clip, wave in zip(clips, waves, strict=True)
                ],
            )


def _phones(text: str) -> list[str]:
    return bare_phones(pronounce(text, LANGUAGE).tokens)


def versions(codec: Codec) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """What is done to a wave (S,) before it is heard, by name."""
    most, rng = codec.spec.quantizers, np.random.default_rng(0)

    def copy(wave: np.ndarray, kept: int, noise: float = 0.0) -> np.ndarray:
        with torch.inference_mode():
            latents = codec.latents(codec.encode(torch.from_numpy(wave))[:kept])
            if noise:
                drawn = torch.from_numpy(rng.standard_normal(tuple(latents.shape), np.float32))
                latents = latents + noise * latents.std(1, keepdim=True) * drawn
            return np.asarray(codec.decode_latents(latents)[: len(wave)].numpy())

    few = {f"first {k}": lambda wave, k=k: copy(wave, k) for k in (4, 2, 1) if k < most}
    return {
        "recordings": lambda wave: wave,
        "copies": lambda wave: copy(wave, most),
        **few,
        "noisy copies": lambda wave: copy(wave, most, _NOISE),
        "reversed": lambda wave: wave[::-1].copy(),
    }


def share_wrong(
    classifier: PhoneClassifier, speech: Sequence[Spoken], waves: Sequence[np.ndarray]
) -> float:
    """The share of the phones of some texts that are heard wrongly."""
    heard = classifier.phones_of(waves, SAMPLE_RATE)
    wrong = sum(phone_errors(h, phones) for h, (phones, _) in zip(heard, speech, strict=True))
    return wrong / sum(len(phones) for phones, _ in speech)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure all groups, print the table, and return the figures by group and classifier."""
    classifiers = {PACKAGE: load_phone_classifier()}
    classifiers |= {str(path): load_phone_classifier(path) for path in args.classifier}
    done = versions(load_codec(args.codec))
    found: dict[str, Any] = {}
    for name, speech in groups_of(args):
        phones = sum(len(those) for those, _ in speech)
        print(f"\n{name}: {len(speech)} utterances, {phones:,} phones")
        print(f"{'':<24}" + "".join(f"{one:>14}" for one in done))
        waves = {one: [change(wave) for _, wave in speech] for one, change in done.items()}
        found[name] = {"phones": phones}
        for label, classifier in classifiers.items():
            rates = {one: share_wrong(classifier, speech, waves[one]) for one in done}
            found[name][label] = rates
            print(f"{Path(label).stem:<24}" + "".join(f"{rate:>14.1%}" for rate in rates.values()))
    return {"codec": args.codec, "groups": found}


def main(given: Sequence[str] | None = None) -> None:
    """Run the command line, see the module's docstring."""
    args = parsed(given)
    about = machine()
    show_machine(about, 1)
    torch.set_num_threads(1)
    try:
        found = run(args)
    except (UserError, CodecError, ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error
    write_json(args.json, {"machine": about, **found})


if __name__ == "__main__":
    main()
