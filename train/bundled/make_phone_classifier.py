"""Train the network that hears phones, `pipeline/phone_classifier.safetensors`.

    python -m ns2.train.bundled.make_phone_classifier [OUT]

espeak-ng speaks English sentences without sense in the voices of `labelled_speech.py`, which are
not those that ns2 is measured with. Each is heard as it is or spoilt, and once more as a copy by
the codec `mini` with any number of quantisers and some noise on its latents, since copies and
generated speech are what the network is to judge. The loss begins as cross-entropy of frames with
known phones and becomes that of connectionist temporal classification. 24 minutes and 2 GB on a
half of one core; the same machine makes the same bytes."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from ns2.model.codec.interface import Codec
from ns2.model.codec.loading import load_codec
from ns2.model.log_mel import LogMel
from ns2.model.phone_net import BLANK, STRIDE, PhoneNet, padded
from ns2.pipeline.corpora.spoken.espeak import speak
from ns2.pipeline.text.engine import bare
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.bundled.labelled_speech import HOP, SAMPLE_RATE, VARIANTS, closed, sentence, spoil
from ns2.train.evaluation.phones import HEADER, bare_phones

OUT = Path(__file__).resolve().parents[1] / "evaluation" / "phone_classifier.safetensors"
UTTERANCES, SEED, WIDTH = 4000, 3, 176
PASSES, FRAMES, RATE = 4, 5000, 2.5e-3
ACCENTS = {"en-us": 6, "en": 2, "en-gb-x-rp": 1, "en-gb-scotland": 1}
"""Voices of espeak-ng and how often they speak."""
LANGUAGES = {"en": "en-gb"}
"""What `pronounce` calls a voice, where that is another name."""
RAREST = 40
"""Phones that occur less often are not learned."""


@dataclass(frozen=True)
class Spoken:
    """Speech (S,) at 24 kHz, its P phones, and where each sound or pause (IPA "") begins."""

    wave: np.ndarray
    phones: tuple[str, ...]
    sounds: tuple[str, ...]
    starts: np.ndarray


@dataclass(frozen=True)
class Example:
    """(M, T + 2 REACH) float16 mel, (P,) classes, (H,) class of each heard frame."""

    mel: Tensor
    phones: Tensor
    frames: Tensor


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the network and write it."""
    parser = argparse.ArgumentParser(prog="python -m ns2.train.bundled.make_phone_classifier")
    parser.add_argument("out", type=Path, nargs="?", default=OUT, metavar="OUT")
    parser.add_argument("--utterances", type=int, default=UTTERANCES)
    parser.add_argument("--passes", type=int, default=PASSES, help="how often each is heard")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    began = time.monotonic()
    speech = list(spoken(args.utterances, args.seed))
    counts = Counter(phone for one in speech for phone in one.phones)
    phones = sorted(phone for phone, count in counts.items() if count >= RAREST)
    speech = [one for one in speech if set(one.phones) <= set(phones)]
    hours = sum(len(one.wave) for one in speech) / SAMPLE_RATE / 3600
    print(f"{hours:.1f} hours, {len(phones)} phones, {time.monotonic() - began:.0f} s", flush=True)
    rng = np.random.default_rng(args.seed)
    examples = list(heard(speech, phones, rng))
    print(f"{len(examples)} examples, {time.monotonic() - began:.0f} s", flush=True)
    network = PhoneNet(examples[0].mel.shape[0], WIDTH, len(phones))
    train(network, examples, args.passes, rng)
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, args.out, {HEADER: json.dumps({"phones": phones}, ensure_ascii=False)})
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {time.monotonic() - began:.0f} s")


def spoken(count: int, seed: int) -> Iterator[Spoken]:
    """Sentences by chance, in voices, paces, pitches and lengths of the throat by chance."""
    rng = random.Random(seed)
    made = 0
    while made < count:
        accent = rng.choices(list(ACCENTS), list(ACCENTS.values()))[0]
        voice, text = f"{accent}+{rng.choice(VARIANTS)}", sentence(rng, "en-us")
        pace, pitch = rng.randint(120, 220), rng.randint(20, 80)
        stretch = rng.uniform(0.85, 1.18) if rng.random() < 0.5 else 1.0
        samples, rate, found = speak(text, voice, pace, pitch)
        phones = bare_phones(pronounce(text, LANGUAGES.get(accent, accent)).tokens)
        sounds = [(start, bare(ipa)) for start, ipa in closed(samples, found, rate)]
        if phones != [ipa for _, ipa in sounds if ipa]:
            continue  # espeak-ng reads a word otherwise when it speaks
        made += 1
        wave = soxr.resample(samples.astype(np.float32) / 32768, rate * stretch, SAMPLE_RATE)
        yield Spoken(
            wave=wave.astype(np.float32),
            phones=tuple(phones),
            sounds=tuple(ipa for _, ipa in sounds),
            starts=np.array([start for start, _ in sounds]) / (rate * stretch),
        )


def heard(speech: list[Spoken], phones: list[str], rng: np.random.Generator) -> Iterator[Example]:
    """Each utterance as it is or spoilt, and as a codec's copy of that."""
    transform, codec = LogMel(), load_codec("mini")
    number = {phone: i for i, phone in enumerate(phones, BLANK + 1)}
    for one in speech:
        classes = torch.tensor([number[phone] for phone in one.phones])
        wave = spoil(one.wave, rng) if rng.random() < 0.6 else one.wave
        for version in (wave, copied(wave, codec, rng)):
            mel = transform(torch.from_numpy(version))
            frames = labels(one, mel.shape[1], number)
            yield Example(padded(mel).half(), classes, frames)


def copied(wave: np.ndarray, codec: Codec, rng: np.random.Generator) -> np.ndarray:
    """A codec's copy (S,), by all or some quantisers, sometimes with noise on the latents."""
    most = codec.spec.quantizers
    kept = most if rng.random() < 0.4 else int(rng.integers(3, most + 1))
    with torch.inference_mode():
        latents = codec.latents(codec.encode(torch.from_numpy(wave))[:kept])
        if rng.random() < 0.5:
            noise = torch.from_numpy(rng.normal(size=tuple(latents.shape)).astype(np.float32))
            latents = latents + noise * latents.std(1, keepdim=True) * rng.uniform(0, 0.4)
        return np.asarray(codec.decode_latents(latents)[: len(wave)].numpy())


def labels(speech: Spoken, frames: int, number: dict[str, int]) -> Tensor:
    """(H,) class of the sound in the middle of each frame that is heard; a pause is blank."""
    classes = np.array([number.get(ipa, BLANK) for ipa in speech.sounds] + [BLANK])
    middles = (np.arange(0, frames, STRIDE) + 0.5) * HOP / SAMPLE_RATE
    return torch.from_numpy(classes[np.searchsorted(speech.starts, middles, side="right") - 1])


def train(
    network: PhoneNet, examples: list[Example], passes: int, rng: np.random.Generator
) -> None:
    """Pass by pass over utterances in groups of like length."""
    groups = list(grouped(examples))
    steps = passes * len(groups)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=steps, pct_start=0.1
    )
    told, began = 0.0, time.monotonic()
    for step in range(steps):
        if step % len(groups) == 0:
            order = rng.permutation(len(groups))
        share = max(0.0, 1 - 2.5 * step / steps)  # of the frames' loss
        loss = losses(network, [examples[i] for i in groups[order[step % len(groups)]]], share, rng)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        told += loss.item()
        if step % 200 == 199:
            spent = time.monotonic() - began
            print(f"step {step + 1}/{steps}: loss {told / 200:.3f}, {spent:.0f} s", flush=True)
            told = 0.0


def grouped(examples: list[Example]) -> Iterator[list[int]]:
    """Numbers of examples of like length, `FRAMES` frames together."""
    group: list[int] = []
    for i in sorted(range(len(examples)), key=lambda i: examples[i].mel.shape[1]):
        if (len(group) + 1) * examples[i].mel.shape[1] > FRAMES and group:
            yield group
            group = []
        group.append(i)
    yield group


def losses(
    network: PhoneNet, batch: list[Example], share: float, rng: np.random.Generator
) -> Tensor:
    """Per phone: a share of frames' cross-entropy, and the rest of the sum over all paths."""
    longest = max(one.mel.shape[1] for one in batch)
    mels = torch.stack([functional.pad(o.mel, (0, longest - o.mel.shape[1])) for o in batch])
    log_probs = network(masked(mels.float(), rng))
    lengths = torch.tensor([len(one.frames) for one in batch])
    counts = torch.tensor([len(one.phones) for one in batch])
    loss = functional.ctc_loss(
        log_probs.transpose(0, 1),
        torch.cat([one.phones for one in batch]),
        lengths,
        counts,
        blank=BLANK,
        reduction="sum",
        zero_infinity=True,
    ) / int(counts.sum())
    if share:
        frames = functional.pad(
            torch.nn.utils.rnn.pad_sequence(
                [one.frames for one in batch], batch_first=True, padding_value=-1
            ),
            (0, log_probs.shape[1] - int(lengths.max())),
            value=-1,
        )
        entropy = functional.nll_loss(log_probs.flatten(0, 1), frames.flatten(), ignore_index=-1)
        loss = share * entropy + (1 - share) * loss
    return loss


def masked(mels: Tensor, rng: np.random.Generator) -> Tensor:
    """Mels (B, M, T) of which a band is silenced in some (Park et al. 2019, SpecAugment)."""
    for mel in mels:
        if rng.random() < 0.5:
            size = int(rng.integers(2, 13))
            start = int(rng.integers(0, mel.shape[0] - size))
            mel[start : start + size] = 0
    return mels


if __name__ == "__main__":
    main()
