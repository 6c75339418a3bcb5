"""Train the network that recognises phones, `train/evaluation/judges/phone_classifier.safetensors`.

    python -m ns2.train.bundled.make_phone_classifier [OUT] [--recorded DATASET CORPUS]...

espeak-ng speaks random English sentences in the voices of `labelled_speech.py`, which are not
those that ns2 is measured with. People speak the utterances of each DATASET, which `ns2
preprocess` made of CORPUS with phonemes, durations and meta; the durations of its aligner say
where the phones are. Each utterance is used as it is or spoilt, and once more as a copy by the
codec `mini` with a random number of quantisers and noise on its latents, since the network has to
judge copies and generated speech. The loss begins as the cross-entropy of frames whose phones are
known and becomes that of connectionist temporal classification (CTC). The same machine makes the
same bytes.

Letters for shapes: B batch, M mel bins, T frames, H frames of the network's output, P phones, S
samples.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

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
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.text.engine import bare
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.bundled.arguments import maker_arguments
from ns2.train.bundled.labelled_speech import HOP, SAMPLE_RATE, VARIANTS, closed, sentence, spoil
from ns2.train.evaluation import judges
from ns2.train.evaluation.held_out import recording
from ns2.train.evaluation.judges.phones import HEADER, bare_phones

OUT = Path(judges.__file__).with_name("phone_classifier.safetensors")
CREDITS = Path(__file__).with_name("CREDITS.md")
"""What was learned from, with licences; its text goes into the metadata of the weights."""
UTTERANCES, SEED, WIDTH = 4000, 3, 176
PASSES, FRAMES, RATE = 4, 5000, 2.5e-3
ACCENTS = {"en-us": 6, "en": 2, "en-gb-x-rp": 1, "en-gb-scotland": 1}
"""The English voices of espeak-ng, and how often they speak in relation to each other."""
LANGUAGES = {"en": "en-gb"}
"""The language of a voice for `pronounce`, where that is another name."""
RAREST = 40
"""The least number of times that a phone has to occur to be learned."""
_LOG_EVERY = 200


@dataclass(frozen=True)
class Spoken:
    """An utterance whose phones are known.

    Attributes:
        wave: (S,) float32 at `SAMPLE_RATE`.
        phones: the P phones of the text.
        sounds: the IPA of each sound, "" for a pause.
        starts: the seconds at which each of the sounds begins.
    """

    wave: np.ndarray
    phones: tuple[str, ...]
    sounds: tuple[str, ...]
    starts: np.ndarray


@dataclass(frozen=True)
class Example:
    """An utterance to train on.

    Attributes:
        mel: (M, T + 2 * REACH) float16 log-mel.
        phones: (P,) classes of the phones.
        frames: (H,) class of each frame of the network's output.
    """

    mel: Tensor
    phones: Tensor
    frames: Tensor


def _arguments() -> argparse.ArgumentParser:
    parser = maker_arguments("make_phone_classifier", out=OUT, utterances=UTTERANCES, seed=SEED)
    parser.add_argument(
        "--passes",
        type=int,
        default=PASSES,
        help="The number of passes over all utterances (epochs).",
    )
    parser.add_argument(
        "--recorded",
        type=Path,
        nargs=2,
        action="append",
        default=[],
        metavar=("DATASET", "CORPUS"),
        help="A dataset with phonemes, durations and meta, and the corpus that it was made of, "
        "whose recordings are learned, too.",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the network and write it."""
    args = _arguments().parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)

    # Utterances with a phone that is too rare to be learned are left out.
    began = time.monotonic()
    speech = list(spoken(args.utterances, args.seed))
    for dataset, corpus in args.recorded:
        speech += recorded(dataset, corpus)
    counts = Counter(phone for utterance in speech for phone in utterance.phones)
    phones = sorted(phone for phone, count in counts.items() if count >= RAREST)
    speech = [utterance for utterance in speech if set(utterance.phones) <= set(phones)]
    hours = sum(len(utterance.wave) for utterance in speech) / SAMPLE_RATE / 3600
    print(f"{hours:.1f} hours, {len(phones)} phones, {time.monotonic() - began:.0f} s", flush=True)

    rng = np.random.default_rng(args.seed)
    examples = list(heard(speech, phones, rng))
    print(f"{len(examples)} examples, {time.monotonic() - began:.0f} s", flush=True)

    network = PhoneNet(examples[0].mel.shape[0], WIDTH, len(phones))
    train(network, examples, args.passes, rng)
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    metadata = {HEADER: json.dumps({"phones": phones}, ensure_ascii=False)}
    if args.recorded:
        metadata["credits"] = CREDITS.read_text("utf-8")
    save_file(tensors, args.out, metadata)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {time.monotonic() - began:.0f} s")


def spoken(count: int, seed: int) -> Iterator[Spoken]:
    """Utterances of random text, voice, speaking rate, pitch and vocal tract length."""
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
            continue  # when it speaks, espeak-ng may pronounce a word differently
        made += 1
        wave = soxr.resample(samples.astype(np.float32) / 32768, rate * stretch, SAMPLE_RATE)
        yield Spoken(
            wave=wave.astype(np.float32),
            phones=tuple(phones),
            sounds=tuple(ipa for _, ipa in sounds),
            starts=np.array([start for start, _ in sounds]) / (rate * stretch),
        )


def recorded(root: Path, corpus: Path) -> Iterator[Spoken]:
    """The utterances of a dataset, with the phones and borders of its aligner.

    Args:
        root: the dataset.
        corpus: the folder or the manifest that it was made of.

    Raises:
        UserError: a recording is missing, or is not the one that the dataset was made from.
    """
    dataset = Dataset(root)
    for key in sorted(dataset.keys):
        meta = dataset.read("meta", key)
        tokens = dataset.phoneme_table.symbols(dataset.read("phonemes", key))
        ends = np.cumsum(dataset.read("durations", key))
        lasting = [i for i, frames in enumerate(np.diff(ends, prepend=0)) if frames]
        found = SimpleNamespace(key=key, source=meta["source"], samples=meta["samples"], piece=None)
        yield Spoken(
            wave=recording(dataset, corpus, found).astype(np.float32),
            phones=tuple(bare_phones(tokens)),
            sounds=tuple("".join(bare_phones([tokens[i]])) for i in lasting),
            starts=np.array([ends[i - 1] if i else 0 for i in lasting]) * HOP / SAMPLE_RATE,
        )


def heard(speech: list[Spoken], phones: list[str], rng: np.random.Generator) -> Iterator[Example]:
    """The examples of each utterance: as it is or spoilt, and a codec's copy of that."""
    transform, codec = LogMel(), load_codec("mini")
    number = {phone: i for i, phone in enumerate(phones, BLANK + 1)}
    for utterance in speech:
        classes = torch.tensor([number[phone] for phone in utterance.phones])
        wave = spoil(utterance.wave, rng) if rng.random() < 0.6 else utterance.wave
        for version in (wave, copied(wave, codec, rng)):
            mel = transform(torch.from_numpy(version))
            frames = labels(utterance, mel.shape[1], number)
            yield Example(padded(mel).half(), classes, frames)


def copied(wave: np.ndarray, codec: Codec, rng: np.random.Generator) -> np.ndarray:
    """A codec's copy (S,) by all or the first quantisers, sometimes with noise on the latents."""
    most = codec.spec.quantizers
    kept = most if rng.random() < 0.4 else int(rng.integers(3, most + 1))
    with torch.inference_mode():
        latents = codec.latents(codec.encode(torch.from_numpy(wave))[:kept])
        if rng.random() < 0.5:
            noise = torch.from_numpy(rng.normal(size=tuple(latents.shape)).astype(np.float32))
            latents = latents + noise * latents.std(1, keepdim=True) * rng.uniform(0, 0.4)
        return np.asarray(codec.decode_latents(latents)[: len(wave)].numpy())


def labels(speech: Spoken, frames: int, number: dict[str, int]) -> Tensor:
    """The class (H,) of the sound in the middle of each output frame; a pause is blank."""
    classes = np.array([number.get(ipa, BLANK) for ipa in speech.sounds] + [BLANK])
    middles = (np.arange(0, frames, STRIDE) + 0.5) * HOP / SAMPLE_RATE
    return torch.from_numpy(classes[np.searchsorted(speech.starts, middles, side="right") - 1])


def train(
    network: PhoneNet, examples: list[Example], passes: int, rng: np.random.Generator
) -> None:
    """Train a network in passes over batches of examples of like length."""
    groups = list(grouped(examples))
    steps = passes * len(groups)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=steps, pct_start=0.1
    )
    total, began = 0.0, time.monotonic()
    for step in range(steps):
        if step % len(groups) == 0:
            order = rng.permutation(len(groups))

        # Known frames show the network quickly what phones are; CTC then finds better borders.
        share = max(0.0, 1 - 2.5 * step / steps)
        loss = losses(network, [examples[i] for i in groups[order[step % len(groups)]]], share, rng)

        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += loss.item()
        if (step + 1) % _LOG_EVERY == 0:
            mean, spent = total / _LOG_EVERY, time.monotonic() - began
            print(f"step {step + 1}/{steps}: loss {mean:.3f}, {spent:.0f} s", flush=True)
            total = 0.0


def grouped(examples: list[Example]) -> Iterator[list[int]]:
    """Batches of examples of like length, by number, of about `FRAMES` frames with padding."""
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
    """The loss of a batch: cross-entropy of frames and CTC, weighted.

    Args:
        share: the weight of the cross-entropy (a mean over frames); CTC (a mean over phones) has
            the rest.
    """
    longest = max(example.mel.shape[1] for example in batch)
    mels = torch.stack(
        [functional.pad(example.mel, (0, longest - example.mel.shape[1])) for example in batch]
    )
    log_probs = network(masked(mels.float(), rng))

    # CTC: the phones in their order, wherever they are.
    lengths = torch.tensor([len(example.frames) for example in batch])
    counts = torch.tensor([len(example.phones) for example in batch])
    loss = functional.ctc_loss(
        log_probs.transpose(0, 1),
        torch.cat([example.phones for example in batch]),
        lengths,
        counts,
        blank=BLANK,
        reduction="sum",
        zero_infinity=True,
    ) / int(counts.sum())

    # Cross-entropy: the phones where espeak-ng has put them.
    if share:
        frames = functional.pad(
            torch.nn.utils.rnn.pad_sequence(
                [example.frames for example in batch], batch_first=True, padding_value=-1
            ),
            (0, log_probs.shape[1] - int(lengths.max())),
            value=-1,
        )
        entropy = functional.nll_loss(log_probs.flatten(0, 1), frames.flatten(), ignore_index=-1)
        loss = share * entropy + (1 - share) * loss
    return loss


def masked(mels: Tensor, rng: np.random.Generator) -> Tensor:
    """Silence a random band in about half of the mels (B, M, T) (Park et al. 2019, SpecAugment)."""
    for mel in mels:
        if rng.random() < 0.5:
            size = int(rng.integers(2, 13))
            start = int(rng.integers(0, mel.shape[0] - size))
            mel[start : start + size] = 0
    return mels


if __name__ == "__main__":
    main()
