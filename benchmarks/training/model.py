"""Time, memory and utilisation of a training step, part by part.

    python -m benchmarks.model [--preset paper base] [--device cpu|cuda] [--seconds 60]
        [--batch 1] [--frames 150] [--peer build/peer] [--rvq] [--out DIR]

Each part and the whole model do forward and backward passes on random utterances; the seconds of
the parts need not add up to those of the whole. Operations are those of matrix products and
convolutions, each counted once; the limit of the device is the speed of one large matrix product of
the same type. Figures are medians of several rounds, in which all parts take turns. On a CPU one
thread computes, and its CPU time is measured; on a GPU float32 and bfloat16 (autocast) are both
measured.

With `naturalspeech2-pytorch` in the folder `--peer`, its denoiser gets utterances of the same
shape. `--rvq` reports how often the codes of the bundled codec are the most likely ones to the
cross-entropy of the residual quantiser.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.support.machine import machine, show_machine
from benchmarks.training import peer
from benchmarks.training.model_table import Table, count_flop, measure, render, rows
from benchmarks.training.model_work import Work, random_batch, works
from benchmarks.training.rvq_rates import rvq_rates
from ns2.model.codec.interface import one_thread
from ns2.model.tts.batch import Batch
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import Sizes
from ns2.model.tts.presets import PRESETS, preset


def benchmark(
    name: str,
    *,
    device: str,
    count: int,
    frames: int,
    seconds: float,
    other: Callable[..., nn.Module] | None = None,
) -> list[Table]:
    """Measure one preset; return a table for each floating-point type."""
    model = _random_model(name).to(device)
    config, sizes = model.config, model.sizes
    batch = random_batch(sizes, count, frames).to(device)
    prompt = batch.prompt_codes.shape[2]
    todo = works(model, batch)
    for work in todo:
        work.flop = count_flop(work)
    if other is not None:
        wanted = next(w.parameters for w in todo if w.name == "diffusion network")
        kinds = {
            "peer, same width and layers": peer.same_depth(config),
            "peer, as many parameters": peer.same_parameters(other, config, wanted),
        }
        for kind, arguments in kinds.items():
            todo.append(_peer_work(kind, other(**arguments).to(device), config, batch, prompt))
    tables = []
    for dtype in (torch.float32,) if device == "cpu" else (torch.float32, torch.bfloat16):
        limit, rounds = measure(todo, device, dtype, seconds)
        table = Table(
            preset=name,
            dtype=str(dtype).removeprefix("torch."),
            batch=count,
            frames=frames,
            prompt=prompt,
            phonemes=batch.phonemes.shape[1],
            limit=limit,
            rounds=rounds,
            rows=rows(todo, limit),
        )
        tables.append(table)
    return tables


def _random_model(name: str) -> NS2:
    """Return a preset's model with random weights and codebooks."""
    torch.manual_seed(0)
    sizes = Sizes()
    model = NS2(preset(name), sizes)
    return model.fit_to(
        codebooks=torch.randn_like(model.codebooks),
        latent_mean=torch.zeros(sizes.latent_dim),
        latent_std=torch.full((sizes.latent_dim,), math.sqrt(sizes.quantizers)),
    )


def _peer_work(name: str, model: nn.Module, config: Any, batch: Batch, prompt: int) -> Work:
    """Return the work of the peer's denoiser on random inputs of the same shape."""
    frames, device = batch.codes.shape[2], str(batch.codes.device)
    x, given = peer.peer_inputs(config, len(batch), frames, prompt, device)
    parameters = sum(p.numel() for p in model.parameters())
    work = Work(name, lambda: model(x, **given), [model], parameters)
    peer.plain_attention(model, True)
    work.flop = count_flop(work)
    peer.plain_attention(model, False)
    return work


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--preset",
        nargs="+",
        default=["paper", "base"],
        choices=list(PRESETS),
        help="The presets that are measured.  [default: paper base]",
    )
    add(
        "--device",
        choices=("cpu", "cuda"),
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="The torch device that computes.  [default: cuda if there is a GPU]",
    )
    add(
        "--seconds",
        type=float,
        default=60.0,
        help="Rounds are repeated for so many seconds per preset.  [default: %(default)g]",
    )
    add("--batch", type=int, help="The utterances of a batch.  [default: 1 on a CPU, 16 on a GPU]")
    add(
        "--frames",
        type=int,
        help="The frames of each utterance.  [default: 150 on a CPU, 400 on a GPU]",
    )
    add(
        "--peer",
        type=Path,
        default=Path("build/peer"),
        help="The folder with naturalspeech2-pytorch, if it is to be measured.  "
        "[default: %(default)s]",
    )
    add("--rvq", action="store_true", help="The rates of most likely codes are reported too.")
    add(
        "--out",
        type=Path,
        default=Path("build/benchmarks"),
        help="The folder that model.json is written to.  [default: %(default)s]",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the module's docstring."""
    args = parsed(arguments)
    cpu = args.device == "cpu"
    figures: dict[str, Any] = {"machine": machine(), "tables": []}
    show_machine(figures["machine"], 1)
    if not cpu:
        figures["gpu"] = torch.cuda.get_device_name()
        print(f"device      {figures['gpu']}")
        torch.backends.cudnn.allow_tf32 = False  # or convolutions would beat the limit of float32
    other = peer.load_peer(args.peer)
    if other is None:
        print(f"without naturalspeech2-pytorch; to add it: {peer.INSTALL.format(args.peer)}")
    with one_thread() if cpu else nullcontext():
        for name in args.preset:
            for table in benchmark(
                name,
                device=args.device,
                count=args.batch or (1 if cpu else 16),
                frames=args.frames or (150 if cpu else 400),
                seconds=args.seconds,
                other=other,
            ):
                figures["tables"].append(asdict(table))
                print(f"\n{render(table)}", flush=True)
            gc.collect()
        if args.rvq:
            figures["rvq"] = rvq_rates()
    if other is not None:
        print("\nThe peer is the denoiser of naturalspeech2-pytorch. What it cannot do:")
        print("\n".join(f"- {line}" for line in peer.CANNOT))
    if args.rvq:
        print("\nThe share of frames with the stored code as the most likely one, per quantiser:")
        for source, rates in figures["rvq"].items():
            print(f"from {source}: " + " ".join(f"{rate:.1%}" for rate in rates))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.json").write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
