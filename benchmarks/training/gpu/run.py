"""What a run does beside computing: reading, checkpoints, sums over processes."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist

from benchmarks.training.gpu.bench import Bench, median, resident
from benchmarks.training.gpu.made_data import MadeData
from benchmarks.training.gpu.models import SHARE, new_trainer, random_model, share_of
from ns2.model.tts.presets import preset
from ns2.train.data.prefetch import Fetched, Reader
from ns2.train.run.checkpoint import checkpoints, load_checkpoint
from ns2.train.run.saver import Saver
from ns2.train.step.ranks import Ranks
from ns2.train.step.tally import Share
from ns2.train.step.trainer import Trainer


def loop(bench: Bench) -> dict[str, Any]:
    """Time steps with the reader: what reading costs, what memory grows, what arrives.

    Shares are sent to the device by threads of the reader, during the steps before.
    """
    name, frames, count = bench.pick(("base", 12_000, 40), ("tiny", 1600, 6))
    data = MadeData(bench.pick(4096, 64))
    trainer = new_trainer(bench, name, data, global_frames=frames)

    def share_and_source(fetched: list[Fetched]) -> tuple[Share, list[Fetched]]:
        return trainer.share(fetched), fetched

    reader = Reader(
        data,  # type: ignore[arg-type]
        share_and_source,
        seed=0,
        global_frames=frames,
        other_below=trainer.config.model.prompt.whole_below,
        prompts=trainer.config.model.prompt,
    )
    taken, waits, receiving = [], [], []
    shapes: Counter[tuple[int, ...]] = Counter()
    start = resident()
    with reader:
        for _ in range(count):
            began, waited = time.perf_counter(), reader.meter.waited
            share, fetched = next(reader).batch
            batch, _ = share.parts[0]
            prompt, tokens = batch.prompt_codes.shape[2], batch.phonemes.shape[1]
            shapes[(*batch.codes.shape[::2], tokens, prompt)] += 1
            receiving.append(bench.clock(share.receive))
            trainer.learn(share)
            trainer.step += 1
            taken.append((time.perf_counter() - began) * 1e3)
            waits.append((reader.meter.waited - waited) * 1e3)
    average = next(iter(trainer.averaged.parameters()))
    row = {
        "median_ms": median(taken),
        "first10_ms": taken[:10],
        "waited_ms": sum(waits) / len(waits),
        "receiving_ms": median(receiving),
        "shapes": len(shapes),
        "of": count,
        "rss_mib_a_step": (resident() - start) / count,
        "average_is_a_leaf": average.is_leaf,
        "average_grad_fn": type(average.grad_fn).__name__,
        "device": str(batch.codes.device),
        "as_made": _as_made(trainer, share, fetched),
    }
    bench.say(f"loop of {name}: {row}")
    return {name: row}


def _as_made(trainer: Trainer, share: Share, fetched: list[Fetched]) -> bool:
    """Tell whether all of a share is on the device as it was made on the CPU."""
    pairs = []
    for (batch, draws), made in zip(share.parts, trainer.batches(fetched), strict=True):
        drawn = trainer.model.draw(made, self_condition=False)
        pairs += [*zip(batch.tensors(), made.tensors(), strict=True)]
        pairs += [*zip(draws.tensors(), drawn.tensors(), strict=True)]
    return all(torch.equal(there.cpu(), here.cpu()) for there, here in pairs)


def checkpoint(bench: Bench) -> dict[str, Any]:
    """Time how long checkpoints hold up the run, and how long they take to be written.

    What is read back has to be what was there before the step that followed.
    """
    trainer = new_trainer(bench, bench.pick("base", "tiny"))
    share = share_of(bench, bench.pick(SHARE, (3, 128, 32, 64)))
    plain = bench.timed(lambda: trainer.learn(share), 5, 2)
    rows, same = [], True
    with tempfile.TemporaryDirectory(prefix="ns2-save-") as folder:
        for number in range(3):  # pinned memory is allocated once, for the first
            saver = Saver(Path(folder), 1)
            trainer.before_update, trainer.step = saver.settle, number
            before = {
                name: t.to("cpu", copy=True) for name, t in trainer.model.state_dict().items()
            }
            bench.sync()
            saver.save(trainer.state())
            stepped = bench.clock(partial(trainer.learn, share))
            if (problem := saver.problem(wait=False)) is not None:
                raise problem
            blocked = saver.blocked
            if (problem := saver.problem(wait=True)) is not None:
                raise problem
            path = checkpoints(Path(folder))[-1]
            began = time.perf_counter()
            state = load_checkpoint(path)
            loading = time.perf_counter() - began
            same &= all(torch.equal(before[name], t) for name, t in state["model"].items())
            rows.append(
                {
                    "blocked_s": blocked,
                    "writing_s": saver.writing,
                    "blocked_share": blocked / saver.writing,
                    "step_ms": stepped,
                    "load_s": loading,
                }
            )
        size = path.stat().st_size / 1e9
    row = {"gb": size, "step_without_ms": plain, "same": same, "saves": rows}
    bench.say(f"checkpoint: {row}")
    return row


def sums(bench: Bench) -> dict[str, Any]:
    """Time the sum of gradients over processes, with NCCL and one process, and its copies."""
    one_process = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29577",
        "RANK": "0",
        "WORLD_SIZE": "1",
    }
    with mock.patch.dict(os.environ, one_process):
        dist.init_process_group(bench.pick("nccl", "gloo"), rank=0, world_size=1)
    try:
        ranks = Ranks(bench.device)
        ranks.count = 2  # so that it does what several processes do
        model = random_model(preset(bench.pick("paper", "tiny"))).to(bench.device)
        gradients = [torch.randn_like(parameter) for parameter in model.parameters()]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        row = {
            "gb": flat.nbytes / 1e9,
            "sum_ms": bench.timed(lambda: ranks.sum(gradients)),
            "all_reduce_alone_ms": bench.timed(lambda: dist.all_reduce(flat)),
            "total_ms": bench.timed(lambda: ranks.total(1.0, 2.0)),
            "pieces": len(gradients),
        }
    finally:
        dist.destroy_process_group()
    bench.say(f"sums: {row}")
    return row
