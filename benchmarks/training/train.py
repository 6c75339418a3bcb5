"""Training steps of ns2 and of `naturalspeech2-pytorch`, on the same recordings; checkpoints.

    python -m benchmarks.train [--peer build/peer] [--preset base] [--frames 1500] [--rounds 5]
        [--saves 3] [--device cpu|cuda] [--corpus DIR] [--work DIR] [--json FILE]

Both models have as many parameters as the preset. They take turns with the same utterances: ns2
reads what was extracted once and learns; the peer extracts codes, pitch, mel and alignments in
every step, and learns. It gets decoded recordings, the first third of each as prompt and the rest
as target.

`--peer` names a folder with the peer; benchmarks/training/peer_training.py says which parts run:

    pip install --no-deps --target build/peer PACKAGES

(if the folder does not contain it, the message lists all packages). Without `--peer` ns2 is
measured alone. Then ns2 saves `--saves` checkpoints, each beside a step, and the time that it waits
for them is compared with the time that they take to be written. `--corpus` is a corpus in a layout
that ns2 reads; otherwise espeak-ng synthesises one. On a CPU one thread computes, and its CPU time
is measured.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.support.clock import now
from benchmarks.support.command import add_json, add_work, arguments, folders, write_json
from benchmarks.support.corpus import QUANTIZERS, spoken, weights
from benchmarks.support.machine import machine, show_machine
from benchmarks.training import peer_training
from benchmarks.training.peer_training import EXTRACTION, IDS, LEARNING, Peer
from benchmarks.training.saving import saving
from ns2.model.tts.presets import PRESETS, preset
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.train.data.prefetch import Fetched, Reader
from ns2.train.data.selection import Data, open_data
from ns2.train.run.settings import TrainConfig
from ns2.train.step.ranks import Ranks
from ns2.train.step.tally import Share
from ns2.train.step.trainer import Trainer
from tests.support.preprocessing import run_inline

MINUTES = 1.0
RATE, HOP = 24_000, 320


class Ours:
    """The model of ns2 in training, and its reader."""

    def __init__(self, config: TrainConfig, data: Data, device: str) -> None:
        self._ranks, self._device = Ranks(device), device
        self.trainer = Trainer(config, data, self._ranks)
        self.trainer.model.train()
        self.parameters = sum(p.numel() for p in self.trainer.model.parameters())
        self.spent = {"reading": 0.0, "learning": 0.0, "update": 0.0}
        self.work = self._moved = 0.0
        self.trainer.before_update = self._note_update
        # One step is prepared at a time, so that its cost falls into the step.
        self._reader = Reader(
            data,
            self._keep_names,
            seed=0,
            global_frames=config.global_frames,
            threads=1,
            ahead=1,
            other_below=config.model.prompt.whole_below,
        )

    def _note_update(self) -> None:
        self._moved = now(self._device)

    def _keep_names(self, fetched: list[Fetched]) -> tuple[Share, list[int]]:
        return self.trainer.share(fetched), [utterance.number for utterance in fetched]

    def step(self) -> tuple[list[int], int]:
        """Run one step; return the numbers of its utterances and their frames."""
        began = now(self._device)
        step = next(self._reader)
        share, numbers = step.batch
        read = now(self._device)
        self.work = self.trainer.work(share)
        self.trainer.learn(share)
        self.trainer.step += 1
        self.spent["reading"] += read - began
        end = now(self._device)
        self.spent["learning"] += end - read
        self.spent["update"] += end - self._moved
        return numbers, step.frames

    def close(self) -> None:
        self._reader.close()


def for_the_peer(
    data: Data, corpus: Path, numbers: Sequence[int], device: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return target audio, prompts, phoneme ids and their counts, padded to the longest."""
    waves, texts = [], []
    for number in numbers:
        source = data.datasets[0].read("meta", data.key(number))["source"]
        wave, rate = read_audio(corpus / source)
        waves.append(torch.from_numpy(np.asarray(resample(wave, rate, RATE), np.float32)))
        texts.append(torch.from_numpy(data.read("phonemes", number).astype(np.int64)) % IDS)
    longest = max(len(wave) for wave in waves)
    cut, whole = longest // 3 // HOP * HOP, -(-longest // HOP) * HOP
    audio = torch.zeros(len(waves), whole)
    text = torch.full((len(texts), max(map(len, texts))), -1)
    for i, (wave, ids) in enumerate(zip(waves, texts, strict=True)):
        audio[i, : len(wave)] = wave
        text[i, : len(ids)] = ids
    lengths = torch.tensor([len(ids) for ids in texts])
    given = (audio[:, cut:], audio[:, :cut], text, lengths)
    return tuple(tensor.to(device) for tensor in given)  # type: ignore[return-value]


def measure(args: Any, folder: Path) -> dict[str, Any]:
    """Measure the seconds per step of each part: means of all rounds but the first."""
    corpus = args.corpus or spoken(args.work, MINUTES).root
    codec = weights(args.work, spoken(args.work, MINUTES))
    began = time.process_time()
    run_inline(corpus, folder / "shards", codec, quantizers=QUANTIZERS)
    once = time.process_time() - began
    data = open_data(
        [folder / "shards"], split="", columns=("codes", "phonemes", "durations", "f0")
    )
    config = TrainConfig(
        model=preset(args.preset),
        global_frames=args.frames,
        precision="fp32",
        frame_multiple=16,
    )
    ours = Ours(config, data, args.device)
    peer = Peer(args.peer, codec, ours.parameters, args.device) if args.peer else None
    rows: list[dict[str, float]] = []
    for number in range(args.rounds + 1):
        before = {**ours.spent, **(peer.spent if peer else {})}
        numbers, frames = ours.step()
        if peer:
            peer.step(*for_the_peer(data, corpus, numbers, args.device))
        after = {**ours.spent, **(peer.spent if peer else {})}
        row = {part: after[part] - before[part] for part in after}
        if number:
            sizes = {"frames": frames, "utterances": len(numbers), "flop": ours.work}
            rows.append({**row, **sizes})
            theirs = sum(row[part] for part in (*EXTRACTION, *LEARNING)) if peer else 0.0
            print(
                f"  step {number}: {len(numbers)} utterances, {frames} frames; ours "
                f"{row['reading'] + row['learning']:.2f} s"
                f"{f', the peer {theirs:.2f} s' if peer else ''}",
                flush=True,
            )
    if peer:
        peer.count(*for_the_peer(data, corpus, numbers, args.device))
    saved = saving(ours.trainer, ours.step, folder / "run", args.saves) if args.saves else None
    ours.close()
    seconds = float(data.frames.sum()) * HOP / RATE
    return {
        "parameters": {"ours": ours.parameters, "peer": peer.parameters if peer else None},
        "once": {"seconds": once, "of recordings": seconds},
        "steps": rows,
        "flop": {"ours": rows[-1]["flop"], "peer": peer.flop if peer else None},
        "mean": {part: statistics.fmean(row[part] for row in rows) for part in rows[0]},
        "saving": saved,
    }


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    mean, parameters, once = found["mean"], found["parameters"], found["once"]
    ours = mean["reading"] + mean["learning"]
    print(f"\nours, {parameters['ours'] / 1e6:.0f} M parameters      {ours:>8.2f} s a step")
    passes = mean["learning"] - mean["update"]
    for part, seconds in (
        ("reading", mean["reading"]),
        ("learning", mean["learning"]),
        ("  forward, backward", passes),
        ("  optimiser, averages", mean["update"]),
    ):
        print(f"  {part:<30}{seconds:>8.3f} s {seconds / ours:>7.1%}")
    if parameters["peer"] is not None:
        show_peer(mean, parameters, ours)
        show_operations(found)
    print(
        f"ns2 preprocess, once: {once['seconds']:.0f} s for {once['of recordings']:.0f} s of "
        "recordings, the aligner's training among them"
    )
    if (saved := found["saving"]) is not None:
        print(
            f"checkpoints of {saved['bytes'] / 1e9:.2f} GB: {saved['writing']:.2f} s to write, and "
            f"the training waits for {saved['blocked']:.3f} s of them, {saved['share']:.1%}"
        )


def show_operations(found: dict[str, Any]) -> None:
    """Print the operations of learning from the utterances of the last step, and their pace."""
    seconds, theirs = found["steps"][-1], found["flop"]["peer"]
    taken = {"ours": seconds["learning"], "the peer": sum(seconds[part] for part in LEARNING)}
    flop = {"ours": found["flop"]["ours"], "the peer": sum(theirs[part] for part in LEARNING)}
    for name in flop:
        print(
            f"learning, {name}: {flop[name] / 1e9:.0f} GFLOP in {taken[name]:.2f} s, "
            f"{flop[name] / taken[name] / 1e9:.1f} GFLOP/s"
        )
    print(f"the peer does {flop['the peer'] / flop['ours']:.2f} times the operations of ours")


def show_peer(mean: dict[str, float], parameters: dict[str, int], ours: float) -> None:
    """Print the peer's part of the table; `ours` are the seconds of our step."""
    sums = {
        "extraction": sum(mean[part] for part in EXTRACTION),
        "learning": sum(mean[part] for part in LEARNING),
    }
    theirs = sums["extraction"] + sums["learning"]
    print(f"the peer, {parameters['peer'] / 1e6:.0f} M parameters  {theirs:>8.2f} s a step")
    for title, parts in (("extraction", EXTRACTION), ("learning", LEARNING)):
        print(f"  {title:<30}{sums[title]:>8.3f} s {sums[title] / theirs:>7.1%}")
        for part in parts:
            print(f"    {part:<28}{mean[part]:>8.3f} s {mean[part] / theirs:>7.1%}")
    print(
        f"the peer takes {theirs / ours:.2f} times as long a step, and for learning alone "
        f"{sums['learning'] / mean['learning']:.2f} times"
    )
    times = sums["extraction"] / mean["reading"]
    print(f"the peer's extraction takes {times:.0f} times as long as our reading")


def main() -> None:
    parser = arguments("benchmarks.train", __doc__)
    add = parser.add_argument
    add(
        "--peer",
        type=Path,
        metavar="DIR",
        help="The folder with naturalspeech2-pytorch; without it ns2 is measured alone.",
    )
    add(
        "--preset",
        choices=list(PRESETS),
        default="base",
        help="The preset that is trained.  [default: %(default)s]",
    )
    add("--frames", type=int, default=1500, help="The frames of a step.  [default: %(default)s]")
    add("--rounds", type=int, default=5, help="The measured steps.  [default: %(default)s]")
    add(
        "--saves",
        type=int,
        default=3,
        help="The checkpoints that are saved.  [default: %(default)s]",
    )
    add(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="The torch device that computes.  [default: %(default)s]",
    )
    add("--corpus", type=Path, metavar="DIR", help="A corpus of recordings with texts.")
    add_work(parser)
    add_json(parser)
    args = parser.parse_args()
    if args.peer and not (args.peer / "naturalspeech2_pytorch").is_dir():
        parser.error(
            f"{args.peer} does not contain the peer; {peer_training.INSTALL.format(args.peer)}"
        )
    torch.set_num_threads(1)
    args.work = args.work.absolute()
    figures: dict[str, Any] = {"machine": machine()}
    show_machine(figures["machine"], 1)
    with folders(args.work) as (folder, _):
        figures["train"] = found = measure(args, folder)
    show(found)
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
