"""Train the network that the aligner starts from, `pipeline/align/aligner_network.safetensors`.

    python -m ns2.train.bundled.make_aligner_network [OUT]

espeak-ng speaks about four hours in many voices and languages (`labelled_speech.py`); each
utterance is used clean and spoilt twice. The network learns which phone is spoken in each frame and
in which frame phones begin; a border within a frame is shared by its neighbours. It takes about
eight minutes and 4 GB on one core; the same machine makes the same bytes.

Letters for shapes: M mel bins, T frames.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from ns2.model.aligner.evidence import REACH, FrameNet, normalised
from ns2.model.log_mel import LogMel, MelConfig
from ns2.train.bundled.arguments import maker_arguments
from ns2.train.bundled.labelled_speech import (
    HOP,
    PAUSE,
    SAMPLE_RATE,
    Labelled,
    labelled_speech,
    spoil,
)

OUT = Path(__file__).resolve().parents[2] / "pipeline" / "align" / "aligner_network.safetensors"
UTTERANCES, SPOILT, SEED = 4000, 2, 2
WIDTH, FEATURES = 128, 32
STEPS, BATCH, CROP, RATE = 6000, 24, 100, 3e-3
POINTS = 8
"""The number of equally spaced points within a frame that are labelled."""
BORDER_SHARE = 0.3
"""The weight of the borders' loss; that of the phones' is 1."""
RAREST = 40
"""The least number of times that a phone has to occur to be learned."""
UNKNOWN = -100
"""The label of phones that are not learned, and of padding."""
_LOG_EVERY = 500


@dataclass(frozen=True)
class Example:
    """An utterance to train on.

    Attributes:
        mel: (M, T + 2 * REACH) float16 log-mel.
        phones: (T, POINTS) int64 classes, `UNKNOWN` where they are not learned.
        borders: (T,) the probability that a phone begins in each frame.
    """

    mel: Tensor
    phones: Tensor
    borders: Tensor


def _arguments() -> argparse.ArgumentParser:
    parser = maker_arguments("make_aligner_network", out=OUT, utterances=UTTERANCES, seed=SEED)
    parser.add_argument(
        "--steps", type=int, default=STEPS, help="The number of training steps in all."
    )
    return parser


def main() -> None:
    """Train the network and write it."""
    args = _arguments().parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)

    # Mels are made at once, since the waves would take far more memory.
    began = time.monotonic()
    speech, mels = [], []
    transform, rng = LogMel(MelConfig()), np.random.default_rng(args.seed)
    for utterance in labelled_speech(args.utterances, args.seed):
        waves = [utterance.wave, *(spoil(utterance.wave, rng) for _ in range(SPOILT))]
        mels.append([transform(torch.from_numpy(wave)).half() for wave in waves])
        speech.append(utterance)

    # Which phones there are is known only when all is spoken; labels follow from that.
    counts = Counter(phone for utterance in speech for phone in utterance.phones)
    phones = [PAUSE, *sorted(p for p, count in counts.items() if p and count >= RAREST)]
    hours = sum(len(utterance.wave) for utterance in speech) / SAMPLE_RATE / 3600
    print(f"{hours:.1f} hours, {len(phones)} phones, {time.monotonic() - began:.0f} s")
    examples = [
        Example(padded(mel), *labels(utterance, mel.shape[1], phones))
        for utterance, versions in zip(speech, mels, strict=True)
        for mel in versions
    ]

    network = train(examples, len(phones), args.steps, rng)
    header = {"ns2-aligner-network": json.dumps({"phones": phones}, ensure_ascii=False)}
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, args.out, header)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {time.monotonic() - began:.0f} s")


def padded(mel: Tensor) -> Tensor:
    """A mel (M, T) with the context of `FrameNet.analyse` at both ends, in float16."""
    ends = functional.pad(normalised(mel.float())[None], (REACH, REACH), mode="replicate")
    return ends[0].half()


def labels(speech: Labelled, frames: int, phones: list[str]) -> tuple[Tensor, Tensor]:
    """The labels of an utterance.

    Args:
        frames: T.
        phones: the phones that are learned, `PAUSE` first.

    Returns:
        (T, POINTS) int64 classes of phones, and (T,) the probability that a phone begins in each
        frame; of a border between the middles of two frames both have a share.
    """
    number = {phone: i for i, phone in enumerate(phones)}
    numbers = np.array([number.get(phone, UNKNOWN) for phone in speech.phones] + [0])
    places = (np.arange(frames * POINTS) + 0.5) * HOP / POINTS / SAMPLE_RATE
    owner = (
        np.searchsorted(speech.starts, places, side="right") - 1
    )  # -1 is the pause before the first phone
    borders = np.zeros(frames + 1)
    edges = speech.starts * SAMPLE_RATE / HOP
    for before, phone, edge in zip(speech.phones, speech.phones[1:], edges[1:], strict=False):
        whole = int(edge)
        if (before or phone) and whole < frames:
            borders[whole] = max(borders[whole], 1 - (edge - whole))
            borders[whole + 1] = max(borders[whole + 1], edge - whole)
    found = torch.tensor(numbers[owner].reshape(frames, POINTS))
    return found, torch.tensor(borders[:frames], dtype=torch.float32)


def train(examples: list[Example], phones: int, steps: int, rng: np.random.Generator) -> FrameNet:
    """Train a network by the cross-entropy of phones and of borders, on random crops.

    Args:
        phones: the number of classes.
    """
    network = FrameNet(examples[0].mel.shape[0], WIDTH, FEATURES, phones)
    fit(network, steps, RATE, lambda: batch(examples, rng))
    return network


def fit(
    network: FrameNet, steps: int, rate: float, draw: Callable[[], tuple[Tensor, Tensor, Tensor]]
) -> None:
    """Do the steps of a training.

    Args:
        rate: the highest rate of learning: it rises to that, then falls to nothing.
        draw: makes a batch, see `batch`.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.1
    )
    total, began = 0.0, time.monotonic()
    for step in range(steps):
        # Frames that are padding, and phones that are not learned, do not count.
        mels, found, borders = draw()
        _, phone_logits, border_logits = network(mels)
        log_probs = functional.log_softmax(phone_logits, 1).transpose(1, 2)
        counted = found >= 0
        loss = -log_probs.gather(2, found.clamp_min(0))[counted].mean()
        real = borders >= 0
        loss = loss + BORDER_SHARE * functional.binary_cross_entropy_with_logits(
            border_logits[real], borders[real]
        )

        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += loss.item()
        if (step + 1) % _LOG_EVERY == 0:
            spent = time.monotonic() - began
            print(f"step {step + 1}: loss {total / _LOG_EVERY:.3f}, {spent:.0f} s", flush=True)
            total = 0.0


def batch(examples: list[Example], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random crops of random examples.

    Returns:
        mels (BATCH, M, CROP + 2 * REACH), classes of phones (BATCH, CROP, POINTS) and borders
        (BATCH, CROP); short examples are padded, with `UNKNOWN` phones and borders of -1.
    """
    rows = []
    for i in rng.integers(0, len(examples), BATCH):
        example = examples[i]
        frames = len(example.borders)
        length = min(frames, CROP)
        start = int(rng.integers(0, frames - length + 1))
        part = slice(start, start + length)
        mel = example.mel[:, start : start + length + 2 * REACH]
        rows.append(filled(mel, example.phones[part], example.borders[part]))
    mels, found, borders = (torch.stack(column) for column in zip(*rows, strict=True))
    return mels.float(), found, borders


def filled(mel: Tensor, phones: Tensor, borders: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pad a crop of an example to `CROP` frames, with `UNKNOWN` phones and borders of -1.

    Args:
        mel: (M, T + 2 * REACH).
        phones: (T, POINTS).
        borders: (T,).
    """
    missing = CROP - len(borders)
    return (
        functional.pad(mel, (0, missing)),
        functional.pad(phones, (0, 0, 0, missing), value=UNKNOWN),
        functional.pad(borders, (0, missing), value=-1.0),
    )


if __name__ == "__main__":
    main()
