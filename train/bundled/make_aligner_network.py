"""Train the network that comes with the package, `pipeline/aligner_network.safetensors`.

    python -m ns2.train.bundled.make_aligner_network [OUT]

espeak-ng speaks some four hours in many voices and languages (`labelled_speech.py`); each utterance
is heard clean and spoilt twice. The network learns which phone is spoken in each frame and where
phones begin, where a border within a frame counts to both sides in part. About eight minutes and 4
GB on one core; the same machine makes the same bytes."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from ns2.model.aligner.evidence import REACH, FrameNet, normalised
from ns2.model.log_mel import LogMel, MelConfig
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
POINTS = 8  # places within a frame that are labelled
BORDER_SHARE = 0.3  # of the borders' loss
RAREST = 40  # phones that occur less often are not learned
UNKNOWN = -100


@dataclass(frozen=True)
class Example:
    """(M, T + 2 * REACH) mel, (T, POINTS) phones, (T,) probability that a phone begins."""

    mel: Tensor
    phones: Tensor
    borders: Tensor


def main() -> None:
    """Train the network and write it."""
    parser = argparse.ArgumentParser(prog="python -m ns2.train.bundled.make_aligner_network")
    parser.add_argument("out", type=Path, nargs="?", default=OUT, metavar="OUT")
    parser.add_argument("--utterances", type=int, default=UTTERANCES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)

    began = time.monotonic()
    speech, mels = [], []
    transform, rng = LogMel(MelConfig()), np.random.default_rng(args.seed)
    for one in labelled_speech(args.utterances, args.seed):
        waves = [one.wave, *(spoil(one.wave, rng) for _ in range(SPOILT))]
        mels.append([transform(torch.from_numpy(wave)).half() for wave in waves])
        speech.append(one)
    counts = Counter(phone for one in speech for phone in one.phones)
    phones = [PAUSE, *sorted(p for p, count in counts.items() if p and count >= RAREST)]
    hours = sum(len(one.wave) for one in speech) / SAMPLE_RATE / 3600
    print(f"{hours:.1f} hours, {len(phones)} phones, {time.monotonic() - began:.0f} s")
    examples = [
        Example(padded(mel), *labels(one, mel.shape[1], phones))
        for one, versions in zip(speech, mels, strict=True)
        for mel in versions
    ]
    network = train(examples, len(phones), args.steps, rng)
    header = {"ns2-aligner-network": json.dumps({"phones": phones}, ensure_ascii=False)}
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, args.out, header)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, {time.monotonic() - began:.0f} s")


def padded(mel: Tensor) -> Tensor:
    """As `FrameNet.analyse` does it; half precision, to save memory."""
    ends = functional.pad(normalised(mel.float())[None], (REACH, REACH), mode="replicate")
    return ends[0].half()


def labels(speech: Labelled, frames: int, phones: list[str]) -> tuple[Tensor, Tensor]:
    """(T, POINTS) phones and (T,) borders; a border between two edges is shared by both."""
    number = {phone: i for i, phone in enumerate(phones)}
    numbers = np.array([number.get(phone, UNKNOWN) for phone in speech.phones] + [0])
    places = (np.arange(frames * POINTS) + 0.5) * HOP / POINTS / SAMPLE_RATE
    owner = np.searchsorted(speech.starts, places, side="right") - 1  # -1 is the pause before all
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
    """Cross-entropy of phones and of borders, on random crops."""
    network = FrameNet(examples[0].mel.shape[0], WIDTH, FEATURES, phones)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE, total_steps=steps, pct_start=0.1
    )
    told = 0.0
    for step in range(steps):
        mels, found, borders = batch(examples, rng)
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
        told += loss.item()
        if step % 500 == 499:
            print(f"step {step + 1}: loss {told / 500:.3f}", flush=True)
            told = 0.0
    return network


def batch(examples: list[Example], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random crops; what is shorter is padded with labels that do not count."""
    rows = []
    for i in rng.integers(0, len(examples), BATCH):
        one = examples[i]
        frames = len(one.borders)
        length = min(frames, CROP)
        start = int(rng.integers(0, frames - length + 1))
        part, missing = slice(start, start + length), CROP - length
        mel = one.mel[:, start : start + length + 2 * REACH]
        rows.append(
            (
                functional.pad(mel, (0, missing)),
                functional.pad(one.phones[part], (0, 0, 0, missing), value=UNKNOWN),
                functional.pad(one.borders[part], (0, missing), value=-1.0),
            )
        )
    mels, found, borders = (torch.stack(column) for column in zip(*rows, strict=True))
    return mels.float(), found, borders


if __name__ == "__main__":
    main()
