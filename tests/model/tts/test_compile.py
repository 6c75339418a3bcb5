"""A step of training as one graph, without breaks, and not compiled again; and in bfloat16.

Loss and total are compiled together with `fullgraph=True, dynamic=False`; random numbers are drawn
and counted outside of it. Each shape is then a graph, and so is each value of
`Draws.self_condition`. Training has too many shapes for that, and compiles the repeated layers for
all of them (`ns2.train.step.repeated`).

Graphs run as they were traced: a compiler of kernels takes a minute for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ns2.model.tts.batch import Batch, Counts
from ns2.model.tts.draws import Draws
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import NS2Config
from tests.support.model_factories import make_batch, make_model, narrow, with_drops

SHAPES = ((48, 32), (64, 40))
"""Multiples of frames and of prompt frames."""


def short() -> NS2Config:
    """`tiny` with few layers of each kind, one of which attends: tracing is slow."""
    config = narrow("tiny")
    encoder = replace(config.phoneme_encoder, layers=1)
    predictor = replace(config.duration, layers=1, attend_every=1)
    wavenet = replace(config.denoiser.wavenet, layers=3)
    return replace(
        config,
        phoneme_encoder=encoder,
        prompt_encoder=encoder,
        duration=predictor,
        pitch=predictor,
        denoiser=replace(config.denoiser, wavenet=wavenet),
    )


def compiled(model: NS2, backend: str) -> Callable[[Batch, Draws, Counts], Tensor]:
    def step(batch: Batch, draws: Draws, counts: Counts) -> Tensor:
        return model.total(model(batch, draws, counts))

    return torch.compile(step, fullgraph=True, dynamic=False, backend=backend)


def inputs(
    model: NS2, shape: tuple[int, int], self_condition: bool, moved: int = 0
) -> tuple[Batch, Draws, Counts]:
    """A batch of that shape; `moved` gives it other contents and lengths."""
    frames, prompt = shape
    batch = make_batch(frame_multiple=frames, token_multiple=16, prompt_multiple=prompt)
    if moved:
        batch = replace(
            batch, seeds=batch.seeds + moved, prompt_frames=batch.prompt_frames.roll(moved)
        )
    draws = with_drops(model.draw(batch, self_condition=self_condition))
    return batch, draws, Counts.of(batch)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_a_step_is_one_graph_of_each_shape_and_never_compiled_again() -> None:
    """A break raises by itself (`fullgraph`); behind the first round any new graph raises."""
    model = make_model(short())
    step = compiled(model, "eager")
    for shape in SHAPES:
        for self_condition in (False, True):
            given = inputs(model, shape, self_condition)
            torch.testing.assert_close(step(*given), model.total(model(*given)))
    with torch._dynamo.config.patch(error_on_recompile=True):
        for moved in (1, 2):
            for shape in SHAPES[::-1]:
                for self_condition in (True, False):
                    given = inputs(model, shape, self_condition, moved)
                    torch.testing.assert_close(step(*given), model.total(model(*given)))
        with pytest.raises(torch._dynamo.exc.RecompileError):  # so it would have been seen
            step(*inputs(model, (80, 32), False))


def test_gradients_of_the_graph_are_those_without_it() -> None:
    model = make_model(short())
    given = inputs(model, SHAPES[0], True)
    model.total(model(*given)).backward()
    wanted = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    compiled(model, "aot_eager")(*given).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            parameter.grad, wanted[name], rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


@contextmanager
def watched(model: NS2) -> Iterator[set[torch.dtype]]:
    """The types that the denoiser's linear layers and convolutions compute in."""
    kinds: set[torch.dtype] = set()
    hooks = [
        part.register_forward_hook(lambda _, given, made: kinds.add(made.dtype))
        for part in model.denoiser.modules()
        if isinstance(part, torch.nn.Linear | torch.nn.Conv1d)
    ]
    try:
        yield kinds
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("name", ["tiny", "base", "seed", "paper"])
def test_losses_in_bfloat16_are_those_in_float32(name: str) -> None:
    model = make_model(narrow(name, head=8), training=False)
    for self_condition in (False, True):
        given = inputs(model, SHAPES[0], self_condition)
        wanted = model(*given)
        with torch.autocast("cpu", torch.bfloat16), watched(model) as kinds:
            found = model(*given)
        assert torch.bfloat16 in kinds  # rounding alone can hide that it ran, so types tell it
        for key, loss in found.items():
            assert loss.dtype == torch.float32
            assert float(loss.detach()) == pytest.approx(float(wanted[key].detach()), rel=0.02), key
