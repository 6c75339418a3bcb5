"""Waiting for data: its share of a step, by the loop's own meter and beside batches in memory.

    python -m benchmarks.waiting [--preset small] [--frames 1000] [--steps 10] [--device cpu|cuda]
        [--work DIR] [--json FILE]

Utterances are made up, of 2 to 12 s, with 16 codebooks of EnCodec's size; the reader checks every
array. First the loop of `ns2 train` runs, and its metrics give the share of each step that it
waited. Then each batch is fetched, learned, and learned again from memory, with the order of the
latter two alternating, so that the difference is the cost of fetching. Last the reader feeds steps
of 16,000 frames to a device that only takes time and no CPU, as a GPU does. Limit: 1 % of a step.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.support.command import add_json, add_work, arguments, folders, write_json
from benchmarks.support.machine import machine, show_machine, verdict
from ns2.model.tts.presets import PRESETS, preset
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.data.prefetch import Reader
from ns2.train.data.selection import Data, open_data
from ns2.train.loop.loop import train
from ns2.train.run.settings import TrainConfig
from ns2.train.run.train_options import TrainOptions
from ns2.train.step.ranks import Ranks
from ns2.train.step.trainer import Trainer
from tests.support.dataset_factories import Recipe, make_dataset

SHARE = 0.01
QUANTIZERS, ENTRIES, LATENT_DIM = 16, 1024, 128
DEVICE_FRAMES = 16_000
DEVICE_SECONDS = (0.3, 0.1, 0.03)
DEVICE_STEPS = 60
NEVER = 1_000_000


def made_up(root: Path) -> Path:
    """Make a dataset of 512 utterances with codes like EnCodec's."""
    from safetensors.numpy import save_file

    latents = {"frames": 1, "mean": [0.0] * LATENT_DIM, "std": [4.0] * LATENT_DIM}
    recipe = Recipe(
        shards=8,
        per_shard=64,
        columns=("codes", "f0", "phonemes", "durations", "meta"),
        frames=(150, 900),
        quantizers=QUANTIZERS,
        words=("so", "much", "light") * 10,
        change_card=lambda card: {**card, "statistics": {"latents": latents}},
    )
    make_dataset(root, recipe)
    rng = np.random.default_rng(0)
    books = rng.standard_normal((QUANTIZERS, ENTRIES, LATENT_DIM), np.float32)
    save_file({"codebooks": books}, Dataset(root).asset("codebooks"))
    return root


def by_the_loop(config: TrainConfig, data: Data, out: Path, device: str) -> dict[str, float]:
    """Run the loop of `ns2 train`; return its own metrics of all steps but the first."""
    train(config, data, out, Progress(), TrainOptions(device=device))
    lines = (out / "metrics.jsonl").read_text().splitlines()[1:]
    rows = [json.loads(line) for line in lines]
    seconds = sum(row["seconds"] for row in rows)
    waited = sum(row["data_wait"] * row["seconds"] for row in rows)
    return {"steps": len(rows), "step": seconds / len(rows), "share": waited / seconds}


def against_memory(config: TrainConfig, data: Data, device: str) -> dict[str, float]:
    """Compare steps with fetched batches and with the same batches from memory."""
    with Ranks(device) as ranks:
        trainer = Trainer(config, data, ranks)
        trainer.model.train()
        turns: list[tuple[tuple[float, float], tuple[float, float], float]] = []
        with reader(config, data, trainer) as steps:
            trainer.learn(next(steps).batch)
            for number in range(config.steps):
                began = clocks()
                batch = next(steps).batch
                wait = passed(began)
                first, second = (learn(trainer, batch) for _ in range(2))
                if number % 2:
                    first, second = second, first
                fetched = (wait[0] + first[0], wait[1] + first[1])
                turns.append((fetched, second, wait[0]))
            spent = steps.meter.fetching / (steps.meter.steps + 4)
    found = {
        f"ratio, {name}": statistics.median(fetched[i] / held[i] for fetched, held, _ in turns)
        for i, name in enumerate(("clock", "processor"))
    }
    return {
        "step": statistics.median(held[0] for _, held, _ in turns),
        "share": sum(wait for *_, wait in turns) / sum(fetched[0] for fetched, *_ in turns),
        "fetching": spent,
        **found,
    }


def reader(config: TrainConfig, data: Data, trainer: Trainer) -> Reader:
    """Return a reader with the loop's own settings."""
    return Reader(
        data,
        trainer.share,
        seed=config.seed,
        global_frames=config.global_frames,
        other_below=config.model.prompt.whole_below,
        prompts=config.model.prompt,
    )


def learn(trainer: Trainer, batch: Any) -> tuple[float, float]:
    """Learn from a batch; it ends with losses as numbers, so the GPU has finished."""
    began = clocks()
    trainer.learn(batch)
    return passed(began)


def clocks() -> tuple[float, float]:
    """Return the clock's seconds and the CPU seconds of this process, with the reader's threads."""
    return time.perf_counter(), time.process_time()


def passed(began: tuple[float, float]) -> tuple[float, float]:
    """Return the seconds since `clocks` returned `began`."""
    return time.perf_counter() - began[0], time.process_time() - began[1]


def to_a_device(config: TrainConfig, data: Data) -> list[dict[str, float]]:
    """Return the shares of waiting where a step takes time but no CPU."""
    with Ranks("cpu") as ranks:
        trainer = Trainer(config, data, ranks)
        found = []
        for seconds in DEVICE_SECONDS:
            with reader(config, data, trainer) as steps:
                next(steps)
                before, began = steps.meter.waited, time.perf_counter()
                for _ in range(DEVICE_STEPS):
                    next(steps)
                    time.sleep(seconds)
                waited, passed = steps.meter.waited - before, time.perf_counter() - began
                fetching = steps.meter.fetching / (steps.meter.steps + 4)
            found.append({"step": seconds, "share": waited / passed, "fetching": fetching})
    return found


def main() -> None:
    parser = arguments("benchmarks.waiting", __doc__)
    add = parser.add_argument
    add(
        "--preset",
        choices=list(PRESETS),
        default="small",
        help="The preset that is trained.  [default: %(default)s]",
    )
    add("--frames", type=int, default=1000, help="The frames of a step.  [default: %(default)s]")
    add("--steps", type=int, default=10, help="The number of steps.  [default: %(default)s]")
    add(
        "--device",
        choices=("cpu", "cuda"),
        default="cpu",
        help="The torch device that computes.  [default: %(default)s]",
    )
    add_work(parser)
    add_json(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"machine": machine()}
    show_machine(figures["machine"], 1)
    config = TrainConfig(
        model=preset(args.preset),
        steps=args.steps,
        global_frames=args.frames,
        frame_multiple=16,
        checkpoint_every=NEVER,
        validate_every=0,
        sample_every=0,
        samples=0,
    )
    with folders(args.work.absolute()) as (folder, _):
        data = open_data([made_up(folder / "shards")])
        loop = figures["loop"] = by_the_loop(config, data, folder / "run", args.device)
        print(
            f"the loop: {loop['steps']} steps of {loop['step']:.2f} s, "
            f"{loop['share']:.3%} waiting: {verdict(loop['share'] < SHARE)}",
            flush=True,
        )
        pairs = figures["pairs"] = against_memory(config, data, args.device)
        print(
            f"in turns: a step from memory {pairs['step']:.2f} s; from the reader "
            f"{pairs['ratio, clock']:.3f} times that by the clock, "
            f"{pairs['ratio, processor']:.3f} by processors; {pairs['share']:.3%} waiting, "
            f"{1000 * pairs['fetching']:.1f} ms of its threads a step",
            flush=True,
        )
        large = TrainConfig(model=preset("tiny"), global_frames=DEVICE_FRAMES)
        figures["device"] = to_a_device(large, data)
        for row in figures["device"]:
            print(
                f"a device that takes {1000 * row['step']:.0f} ms for {DEVICE_FRAMES} frames: "
                f"{row['share']:.3%} waiting: {verdict(row['share'] < SHARE)}; "
                f"{1000 * row['fetching']:.1f} ms of the reader's threads a step"
            )
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
