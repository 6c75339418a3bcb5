"""`--compile`: few graphs for all shapes of an epoch, all of them made early, and the same losses.

The lengths are those of LibriTTS, cut down so that CPUs compute them in minutes. Continuous
integration runs graphs as they were traced, and `pytest -m large` compiles them as training does:
that takes five seconds for each graph and direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor.utils import fresh_cache

from ns2.model.tts.batch import Batch, Counts, collate
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import NS2Config
from ns2.train.data.epochs import plan_epoch
from ns2.train.step.repeated import compile_layers, recompute_layers
from tests.model.tts.test_compile import short
from tests.support.model_factories import PROMPTS, border, make_example, make_model, narrow

MEDIAN, SPREAD, LONGEST = 4.3, 0.75, 20.0
"""The durations of LibriTTS in seconds: a log-normal distribution, cut off."""
EARLY = 20
"""Steps in which all graphs have to be made."""
MOST = 20
"""Graphs."""


class Walked(NamedTuple):
    """What a walk through an epoch found."""

    graphs: list[int]
    """How many graphs there were after each step."""
    shapes: set[tuple[int, ...]]
    worst: float
    """The largest difference of a loss from that of the model as it is."""


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No graph, and no kernel on the disk, of before: what is stored holds guards of its own."""
    torch._dynamo.reset()
    counters.clear()
    with fresh_cache():
        yield
    torch._dynamo.reset()


def without_dropout(config: NS2Config) -> NS2Config:
    denoiser = config.denoiser
    wavenet = replace(denoiser.wavenet, dropout=0.0)
    transformer = replace(denoiser.transformer, dropout=0.0)
    return replace(
        config,
        phoneme_encoder=replace(config.phoneme_encoder, dropout=0.0),
        prompt_encoder=replace(config.prompt_encoder, dropout=0.0),
        duration=replace(config.duration, dropout=0.0),
        pitch=replace(config.pitch, dropout=0.0),
        denoiser=replace(denoiser, wavenet=wavenet, transformer=transformer),
    )


def batches(utterances: int, cut: int, share: int) -> Iterator[Batch]:
    """The batches of an epoch.

    Args:
        cut: the factor by which lengths are cut down.
        share: the frames that a process has of a step, before they are cut down.
    """
    rng = np.random.default_rng(0)
    seconds = np.exp(rng.normal(np.log(MEDIAN), SPREAD, utterances)).clip(0.4, LONGEST)
    frames = np.ceil(seconds * 75 / cut).astype(np.int64)
    plan = plan_epoch(
        np.arange(utterances) // 512, frames, seed=0, epoch=0, global_frames=share // cut
    )
    for number in range(len(plan)):
        examples = [
            make_example(int(frames[i]), max(2, int(frames[i]) // 5), seed=int(i), other=30)
            for i in plan.step(number)
        ]
        yield collate(
            examples,
            border(),
            PROMPTS,
            frame_multiple=max(1, 64 // cut),
            token_multiple=max(1, 16 // cut),
            prompt_multiple=max(1, 64 // cut),
        )


def gradient(model: NS2) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def walk(config: NS2Config, epoch: Iterator[Batch], backend: str) -> Walked:
    """Each distinct shape of an epoch once through both passes, with and without compilation."""
    compiled, plain = make_model(config), make_model(config)
    compile_layers(compiled, backend)
    graphs, shapes, worst = [], set(), 0.0
    for i, batch in enumerate(epoch):
        shape = (*batch.codes.shape, batch.phonemes.shape[1], batch.prompt_codes.shape[2])
        if shape in shapes:
            continue
        shapes.add(shape)
        draws, counts = compiled.draw(batch, self_condition=i % 2 > 0), Counts.of(batch)
        found = []
        for model in (compiled, plain):
            model.zero_grad()
            losses = model(batch, draws, counts)
            model.total(losses).backward()
            found.append({name: float(loss.detach()) for name, loss in losses.items()})
        theirs = gradient(plain)  # of an absolute error it is a sign, which rounding may turn
        assert (gradient(compiled) - theirs).norm() < 1e-2 * theirs.norm()
        worst = max(
            worst, *(abs(found[0][k] - found[1][k]) / max(1, abs(found[1][k])) for k in found[1])
        )
        graphs.append(counters["stats"]["unique_graphs"])
    return Walked(graphs, shapes, worst)


def test_all_shapes_of_an_epoch_are_served_by_a_few_graphs_that_are_made_early() -> None:
    found = walk(without_dropout(short()), batches(400, 8, 8_000), "aot_eager")
    assert len(found.shapes) > EARLY and 0 < found.graphs[-1] <= MOST
    assert found.graphs[-1] == found.graphs[EARLY - 1], found.graphs
    assert found.worst < 1e-4


@pytest.mark.large
@pytest.mark.parametrize(("name", "most"), [("base", MOST), ("seed", 2 * MOST)])
def test_all_shapes_of_a_longer_epoch_with_compiled_kernels(name: str, most: int) -> None:
    """The layers of `seed` have eight dilations, and each of them is a graph or two."""
    found = walk(without_dropout(narrow(name, head=8)), batches(2000, 8, 12_000), "inductor")
    print(f"{name}: {len(found.shapes)} shapes, graphs {found.graphs}, off {found.worst:.1e}")
    assert len(found.shapes) > 2 * EARLY and 0 < found.graphs[-1] <= most
    assert found.graphs[-1] == found.graphs[EARLY - 1], found.graphs
    assert found.worst < 1e-4


def test_layers_that_are_computed_twice_keep_less_and_give_the_same_gradients() -> None:
    """All layers are of those kinds, and dropout is drawn as before."""
    config = narrow("seed", head=8)
    found = []
    for recompute in (False, True):
        model = make_model(config)
        if recompute:
            recompute_layers(model)
        examples = [make_example(60, 12, seed=i, other=30) for i in range(3)]
        batch = collate(examples, border(), PROMPTS)
        draws = model.draw(batch, self_condition=True)
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        torch.manual_seed(5)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model.total(model(batch, draws))
        loss.backward()
        weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        size = sum(size for place, size in kept.items() if place not in weights)
        found.append((size, float(loss.detach()), gradient(model)))
    (plain, loss, grads), (less, same_loss, same_grads) = found
    assert less < plain / 3
    assert loss == same_loss and torch.equal(grads, same_grads)
