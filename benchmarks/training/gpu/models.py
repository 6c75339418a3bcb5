"""Models with random weights, a real trainer of them, and batches of a given shape.

Letters for shapes: B batch, T frames, N phonemes, P prompt frames.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor

from benchmarks.training.gpu.bench import Bench
from benchmarks.training.gpu.made_data import MadeData
from ns2.model.tts.batch import Batch, Counts
from ns2.model.tts.draws import Draws
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import NS2Config
from ns2.model.tts.presets import preset
from ns2.train.run.overrides import choose
from ns2.train.step import trainer as trainer_module
from ns2.train.step.build import usual_sizes
from ns2.train.step.ranks import Ranks
from ns2.train.step.tally import Share
from ns2.train.step.trainer import Trainer

Shape = tuple[int, int, int, int]
"""B, T, N and P of a batch."""
SHARE: Shape = (20, 576, 128, 320)
"""About the share that one of eight GPUs has of 96,000 frames."""


def random_model(config: NS2Config, seed: int = 0) -> NS2:
    """Return a model of the usual sizes, with random weights, on the CPU."""
    torch.manual_seed(seed)
    sizes = usual_sizes()
    model = NS2(config, sizes)
    shape = (sizes.quantizers, sizes.entries, sizes.latent_dim)
    return model.fit_to(
        codebooks=torch.randn(shape) * 0.3,
        latent_mean=torch.zeros(sizes.latent_dim),
        latent_std=torch.full((sizes.latent_dim,), 1.2),
    )


def new_model(bench: Bench, name: str) -> NS2:
    """Return a preset's model with random weights, on the device and in training mode."""
    return random_model(preset(name)).to(bench.device).train()


def new_trainer(
    bench: Bench, name: str, data: MadeData | None = None, **settings: object
) -> Trainer:
    """Return a real trainer of a preset on made-up data, in training mode."""

    def build(dataset: object, config: NS2Config, seed: int = 0) -> NS2:
        return random_model(config, seed)

    config = choose(name, None, [f"{key}={json.dumps(value)}" for key, value in settings.items()])
    data = data or MadeData(64, (4.3, 0.7, 20.0))
    with mock.patch.object(trainer_module, "build_model", build):
        trainer = Trainer(config, data, Ranks(bench.device), compiled=False)  # type: ignore[arg-type]
    trainer.model.train()
    return trainer


def inputs(
    bench: Bench, shape: Shape, self_condition: bool, seed: int = 0
) -> tuple[Batch, Draws, Counts]:
    """Return a batch of a shape without padding, its draws and its counts, on the device."""
    count, frames, tokens, prompt = shape
    g = torch.Generator().manual_seed(seed)
    durations = torch.full((count, tokens), frames // tokens)
    durations[:, 0] += frames - durations.sum(1)
    f0 = torch.rand(count, frames, generator=g) * 200 + 80
    batch = Batch(
        codes=torch.randint(0, 1024, (count, 16, frames), generator=g, dtype=torch.int32),
        frames=torch.full((count,), frames),
        phonemes=torch.randint(1, 60, (count, tokens), generator=g),
        tokens=torch.full((count,), tokens),
        durations=durations,
        f0=f0 * (torch.rand(count, frames, generator=g) < 0.6),
        prompt_codes=torch.randint(0, 1024, (count, 16, prompt), generator=g, dtype=torch.int32),
        prompt_frames=torch.full((count,), prompt),
        seeds=torch.arange(count),
    )
    draws = Draws(
        uniform=torch.rand(count, generator=g),
        noise=torch.randn(count, 128, frames, generator=g),
        quantizer=torch.randint(0, 16, (count,), generator=g),
        drop_prompt=torch.rand(count, generator=g) < 0.1,
        drop_content=torch.rand(count, generator=g) < 0.1,
        self_condition=self_condition,
    )
    batch = batch.to(bench.device)
    return batch, draws.to(bench.device), Counts.of(batch)


def share_of(bench: Bench, shape: Shape, self_condition: bool = False) -> Share:
    """Return a step's share of one batch of a shape, as `Trainer.learn` takes it."""
    batch, draws, _ = inputs(bench, shape, self_condition)
    return Share(((batch, draws),))


def pass_of(
    bench: Bench,
    model: NS2,
    shape: Shape,
    self_condition: bool = False,
    run: Callable[..., dict[str, Tensor]] | None = None,
) -> Callable[[], None]:
    """Return a function that does one forward and backward pass in bfloat16.

    Args:
        bench: gives the device.
        model: the model.
        shape: the shape of the batch.
        self_condition: whether the pass is self-conditioned.
        run: computes the losses, such as a compiled model; None for the model itself.
    """
    batch, draws, counts = inputs(bench, shape, self_condition)
    forward = model if run is None else run

    def work() -> None:
        model.zero_grad(set_to_none=True)
        with bench.autocast():
            losses = forward(batch, draws, counts)
        model.total(losses).backward()

    return work
