"""Time, memory and use of the device of a training step, part by part.

    python -m benchmarks.model [--preset paper base] [--device cpu|cuda] [--seconds 60]
        [--batch 1] [--frames 150] [--peer build/peer] [--rvq] [--out DIR]

Forward and backward of each part alone and of the whole, on random utterances; the seconds of parts
need not add up to those of the whole. Operations are those of matrix products and convolutions,
with none counted twice; the limit of the device is what one large product of matrices of the same
type reaches. Figures are medians of several rounds, all works in turn. On a CPU one thread works
and its own seconds are taken; on a GPU float32 and bfloat16 (autocast) follow one another.

`--peer` names a folder with `naturalspeech2-pytorch`, whose denoiser then gets utterances of the
same shape. `--rvq` reports how often the codes of the bundled codec are the most likely ones to the
cross-entropy of the residual quantiser.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.support.machine import machine, show_machine
from benchmarks.support.memory import peak_growth
from benchmarks.training import peer
from ns2.model.codec.interface import EXTRA_FRAMES, codes_to_latents, one_thread
from ns2.model.codec.loading import load_codec
from ns2.model.diffusion.rvq import rvq_logits
from ns2.model.tts.batch import Batch
from ns2.model.tts.durations import expand_to_frames
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import Sizes
from ns2.model.tts.parameters import count_parts
from ns2.model.tts.presets import PRESETS, preset
from tests.support.seeded_encodec import spoken

FRAMES_A_PHONEME = 6
PROMPT_SHARE = 2
"""A target is so many times as long as its prompt."""
PRODUCT = {"cpu": 1024, "cuda": 8192}
"""Rows of the square matrices whose product is the limit."""
WIDTH = 30
REST = "losses and the rest"


@dataclass
class Work:
    """Something to measure.

    Attributes:
        forward: computes what is to be derived.
        modules: whose gradients it makes.
        parameters: of these modules, as far as they belong to the work.
        flop: operations of forward and backward.
        memory: bytes by which it grows at most, its gradients included.
        seconds: of each round.
    """

    name: str
    forward: Callable[[], Tensor]
    modules: Sequence[nn.Module]
    parameters: int
    flop: int = 0
    memory: int = 0
    seconds: list[float] = field(default_factory=list)

    def run(self, autocast: AbstractContextManager[object]) -> None:
        """Forward and backward; the gradient is a number for each output, not one for all."""
        with autocast:
            out = self.forward()
        out.backward(torch.ones_like(out))

    def clear(self) -> None:
        """Gradients take memory anew in each step, as in training."""
        for module in self.modules:
            module.zero_grad(set_to_none=True)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; `share` is of the limit, memory in bytes."""

    name: str
    parameters: int
    flop: int
    seconds: float
    share: float
    memory: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures of one preset; `limit` in operations a second."""

    preset: str
    dtype: str
    batch: int
    frames: int
    prompt: int
    phonemes: int
    limit: float
    rounds: int
    rows: list[Row]


def random_batch(sizes: Sizes, count: int, frames: int) -> Batch:
    """Utterances of one length, with prompts half as long, of random codes and pitch."""
    rng = np.random.default_rng(0)
    tokens, prompt = max(1, frames // FRAMES_A_PHONEME), max(1, frames // PROMPT_SHARE)
    shares = np.ones(tokens) / tokens
    durations = rng.multinomial(frames - tokens, shares, size=count) + 1
    f0 = np.where(rng.random((count, frames)) < 0.6, rng.uniform(80, 300, (count, frames)), 0)
    return Batch(
        codes=_integers(rng, sizes.entries, (count, sizes.quantizers, frames)),
        frames=torch.full((count,), frames),
        phonemes=_integers(rng, sizes.phonemes, (count, tokens)).long(),
        tokens=torch.full((count,), tokens),
        durations=torch.from_numpy(durations),
        f0=torch.from_numpy(f0).float(),
        prompt_codes=_integers(rng, sizes.entries, (count, sizes.quantizers, prompt)),
        prompt_frames=torch.full((count,), prompt),
        seeds=torch.arange(count),
    )


def _integers(rng: np.random.Generator, high: int, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(rng.integers(0, high, shape, dtype=np.int32))


def works(model: NS2, batch: Batch) -> list[Work]:
    """The parts as `ns2 model` names them, then the whole without and with self-conditioning."""
    frames = batch.codes.shape[2]
    mask, token_mask, prompt_mask = batch.frame_mask, batch.token_mask, batch.prompt_mask
    with torch.no_grad():
        voice = model.voice(batch.prompt_codes, batch.prompt_frames)
        states = model.text(batch.phonemes, token_mask)
        at_frames = expand_to_frames(states, batch.durations, frames)
        latents = model.latents_of(batch.codes)
        heard = model.latents_of(batch.prompt_codes).transpose(1, 2)
    # what another part gives has a gradient, too
    states, at_frames, prompt = (
        t.detach().requires_grad_() for t in (states, at_frames, voice.states)
    )
    draws = [model.draw(batch, self_condition=chosen) for chosen in (False, True)]
    time_ = model.schedule.times(draws[0].uniform)

    def prompt_encoder() -> Tensor:
        out: Tensor = model.prompt_encoder(model.prompt_enter(heard), prompt_mask)
        return out

    def denoiser() -> Tensor:
        content = model.content(at_frames, batch.f0)
        tokens = model.denoiser.tokens(prompt, voice.mask)
        out: Tensor = model.denoiser(latents, time_, mask, content=content, tokens=tokens)
        return out

    forwards: dict[str, Callable[[], Tensor]] = {
        "phoneme encoder": lambda: model.text(batch.phonemes, token_mask),
        "prompt encoder": prompt_encoder,
        "duration predictor": lambda: model.duration_predictor(
            states, token_mask, prompt, voice.mask
        ),
        "pitch predictor": lambda: model.pitch_predictor(at_frames, mask, prompt, voice.mask),
        "diffusion network": denoiser,
    }
    parts = {part.name: part.parameters for part in count_parts(model.config, model.sizes)}
    found = [Work(name, forwards[name], [model], count) for name, count in parts.items()]
    given = {
        "duration_predictor": forwards["duration predictor"](),
        "pitch_predictor": forwards["pitch predictor"](),
        "denoiser": denoiser(),
    }
    shell = _without_parts(model, states, voice, given)
    found.append(Work(REST, lambda: model.total(shell(batch, draws[0])), [model], 0))
    everything = sum(p.numel() for p in model.parameters())
    for name, drawn in zip(("whole", "whole, self-conditioned"), draws, strict=True):
        found.append(
            Work(name, lambda d=drawn: model.total(model(batch, d)), [model], everything)  # type: ignore[misc]
        )
    return found


class _Given(nn.Module):
    """In the place of a part: gives what it gave."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value.detach().requires_grad_()

    def forward(self, *_: object, **__: object) -> Tensor:
        return self.value


def _without_parts(model: NS2, states: Tensor, voice: Any, given: dict[str, Tensor]) -> NS2:
    """The same model, whose parts take no time: losses and all between them are left."""
    shell: Any = copy.copy(model)
    shell._modules = dict(model._modules)
    for name, value in given.items():
        setattr(shell, name, _Given(value))
    shell.text, shell.voice = (lambda *_: states), (lambda *_: voice)
    found: NS2 = shell
    return found


def count_flop(work: Work) -> int:
    """Operations of forward and backward: two for each product that is added up.

    Attention is counted as matrix products, so that no kernel's second computation counts.
    """
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work.run(nullcontext())
    work.clear()
    return int(counter.get_total_flops())


def measure(
    todo: Sequence[Work], device: str, dtype: torch.dtype, seconds: float
) -> tuple[float, int]:
    """Fill in memory and seconds; returns the limit, in operations a second, and the rounds."""

    def autocast() -> AbstractContextManager[object]:
        return nullcontext() if dtype == torch.float32 else torch.autocast(device, dtype)

    for work in todo:
        work.seconds.clear()
        work.memory = _peak(lambda w=work: w.run(autocast()), device)  # type: ignore[misc]
        work.clear()
    size = PRODUCT[device]
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    torch.matmul(matrix, matrix)
    limits: list[float] = []
    began = time.monotonic()
    while len(limits) < 2 or time.monotonic() - began < seconds:
        best = min(_timed(lambda: torch.matmul(matrix, matrix), device) for _ in range(3))
        limits.append(2 * size**3 / best)
        for work in todo:
            work.seconds.append(_timed(lambda w=work: w.run(autocast()), device))  # type: ignore[misc]
            work.clear()
    return statistics.median(limits), len(limits)


def _timed(run: Callable[[], object], device: str) -> float:
    """Seconds; on a CPU those of its thread, which what else runs does not lengthen as much."""
    if device == "cpu":
        began = time.process_time()
        run()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def _peak(run: Callable[[], object], device: str) -> int:
    if device == "cpu":
        return peak_growth(run)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def rows(todo: Sequence[Work], limit: float) -> list[Row]:
    """Lines of the table."""
    found = []
    for work in todo:
        spent = statistics.median(work.seconds)
        found.append(
            Row(
                name=work.name,
                parameters=work.parameters,
                flop=work.flop,
                seconds=spent,
                share=work.flop / spent / limit,
                memory=work.memory,
            )
        )
    return found


def benchmark(
    name: str,
    *,
    device: str,
    count: int,
    frames: int,
    seconds: float,
    other: Callable[..., nn.Module] | None = None,
) -> list[Table]:
    """The tables of one preset, one for each type of number."""
    torch.manual_seed(0)
    config, sizes = preset(name), Sizes()
    model = NS2(config, sizes)
    model.fit_to(
        codebooks=torch.randn_like(model.codebooks),
        latent_mean=torch.zeros(sizes.latent_dim),
        latent_std=torch.full((sizes.latent_dim,), math.sqrt(sizes.quantizers)),
    )
    model.to(device)
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


def _peer_work(name: str, model: nn.Module, config: Any, batch: Batch, prompt: int) -> Work:
    frames, device = batch.codes.shape[2], str(batch.codes.device)
    x, given = peer.peer_inputs(config, len(batch), frames, prompt, device)
    parameters = sum(p.numel() for p in model.parameters())
    work = Work(name, lambda: model(x, **given), [model], parameters)
    peer.plain_attention(model, True)
    work.flop = count_flop(work)
    peer.plain_attention(model, False)
    return work


def render(table: Table) -> str:
    """The table for people."""
    lines = [
        f"{table.preset}: {table.batch} x {table.frames} frames, {table.prompt} of prompt, "
        f"{table.phonemes} phonemes; {table.dtype}, limit {table.limit / 1e9:.1f} GFLOP/s, "
        f"{table.rounds} rounds",
        f"{'part':<{WIDTH}} {'parameters':>12} {'GFLOP':>9} {'seconds':>9} {'of limit':>9} "
        f"{'memory':>9}",
    ]
    for row in table.rows:
        lines.append(
            f"{row.name:<{WIDTH}} {row.parameters / 1e6:>10.2f} M {row.flop / 1e9:>9.2f} "
            f"{row.seconds:>9.4f} {row.share:>9.0%} {row.memory / 1e9:>6.2f} GB"
        )
    return "\n".join(lines)


def rvq_rates(seconds: float = 20.0) -> dict[str, list[float]]:
    """Share of frames in which the stored code has the largest logit, for each quantiser.

    From the output of the bundled codec's encoder, and from the sum of the entries chosen.
    """
    codec: Any = load_codec("mini")
    hop = codec.spec.hop_length
    wave = torch.tensor(np.concatenate(spoken()))[: int(seconds * codec.spec.sample_rate)]
    codes = codec.encode(wave)[None]
    with torch.no_grad():
        made = codec._network.encode(nn.functional.pad(wave, (0, hop * EXTRA_FRAMES))[None])
    books = codec.codebooks
    inputs = {
        "the encoder's output": made[:, : codes.shape[2]].transpose(1, 2),
        "the sum of entries": codes_to_latents(codes, books),
    }
    found: dict[str, list[float]] = {}
    for name, latents in inputs.items():
        rates = []
        for number in range(len(books)):
            best = rvq_logits(latents, codes, books, torch.tensor([number])).argmax(2)
            rates.append(float((best == codes[:, number]).double().mean()))
        found[name] = rates
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line, see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", nargs="+", default=["paper", "base"], choices=list(PRESETS))
    chosen = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=chosen)
    parser.add_argument("--seconds", type=float, default=60.0, help="of rounds, a preset")
    parser.add_argument("--batch", type=int, help="utterances; 1 on a CPU, 16 on a GPU")
    parser.add_argument("--frames", type=int, help="of each; 150 on a CPU, 400 on a GPU")
    parser.add_argument("--peer", type=Path, default=Path("build/peer"))
    parser.add_argument("--rvq", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"))
    args = parser.parse_args(arguments)
    cpu = args.device == "cpu"
    figures: dict[str, Any] = {"machine": machine(), "tables": []}
    show_machine(figures["machine"], 1)
    if not cpu:
        figures["gpu"] = torch.cuda.get_device_name()
        print(f"device      {figures['gpu']}")
        torch.backends.cudnn.allow_tf32 = False  # or convolutions would beat the limit of float32
    other = peer.load_peer(args.peer)
    if other is None:
        print(f"without naturalspeech2-pytorch; for it: {peer.INSTALL.format(args.peer)}")
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
        if other is not None:
            print("\nThe peer is the denoiser of naturalspeech2-pytorch. What it can't do:")
            print("\n".join(f"- {line}" for line in peer.CANNOT))
        if args.rvq:
            figures["rvq"] = rvq_rates()
            print("\nThe stored code is the most likely one (a quantiser each, the codec mini):")
            for source, rates in figures["rvq"].items():
                print(f"from {source}: " + " ".join(f"{rate:.1%}" for rate in rates))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.json").write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
