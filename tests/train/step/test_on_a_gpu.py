"""A whole step walked on fake tensors of a GPU: what it would do there, without one.

Fake tensors have shapes, types and devices, but no values: an operation on tensors of two devices
fails, and so does all that needs a value, for which the program would wait for the GPU. Only the
losses are fetched, once, when all is on its way.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ns2.model.blocks.layers import Conv
from ns2.model.config_values import changed
from ns2.model.tts.batch import Batch
from ns2.model.tts.draws import draw
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import NS2Config
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.train.run.recipes import training
from ns2.train.step import trainer as module
from ns2.train.step.build import usual_sizes
from ns2.train.step.ranks import Ranks
from ns2.train.step.tally import Share, Tally
from ns2.train.step.trainer import Trainer
from tests.support.backward import backward
from tests.support.model_factories import make_batch, make_model

GPU = torch.device("cuda", 0)


class Elsewhere(TorchDispatchMode):
    """Notes the operations whose results do not lie on the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
        result = operation(*args, **(kwargs or {}))
        for value in _pytree.tree_leaves(result):
            if isinstance(value, Tensor) and value.device != GPU:
                self.found.append(f"{operation} on {value.device}")
        return result


def new_model(config: NS2Config) -> NS2:
    with GPU:
        model = NS2(config, usual_sizes())
    model.to = lambda *_: model  # type: ignore[method-assign, assignment]  # it is there already
    return model


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch asks of a GPU before it lets autocast and the backward pass begin."""
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    monkeypatch.setattr(Tensor, "backward", lambda loss: backward(loss))


@pytest.fixture
def walk(pretended: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Walks a step of a preset; gives the trainer, where it was elsewhere, and what it fetched."""
    fetched: list[set[str]] = []

    def fetch(values: dict[str, Tensor]) -> Callable[[], dict[str, float]]:
        fetched.append(set(values))
        return lambda: dict.fromkeys(values, 1.0)

    def build(dataset: Any, config: NS2Config, seed: int, table: Any) -> NS2:
        return new_model(config)

    def walked(name: str, **settings: object) -> tuple[Trainer, list[str], list[set[str]]]:
        config = changed(training(name), settings)
        trainer = Trainer(config, data, ranks)  # type: ignore[arg-type]
        trainer.averaged = new_model(config.model).eval().requires_grad_(False)  # no fake is copied
        trainer.model.train()
        share = share_of(config.model)
        with Elsewhere() as log:
            trainer.learn(share)
        return trainer, log.found, fetched

    monkeypatch.setattr(module, "build_model", build)
    monkeypatch.setattr(module, "fetch_later", fetch)
    ranks = Ranks("cpu")
    ranks.device = GPU
    dataset = SimpleNamespace(phoneme_table=PhonemeTable.default())
    data = SimpleNamespace(datasets=[dataset], table=dataset.phoneme_table)
    with FakeTensorMode(), warnings.catch_warnings():
        warnings.filterwarnings("error", "Mismatch dtype")  # torch then takes a slower kernel
        yield walked


def share_of(config: NS2Config, count: int = 20, frames: int = 576) -> Share:
    """A batch of about what one of eight GPUs has of a step, on the GPU."""
    sizes, tokens, prompt = usual_sizes(), 128, 320
    batch = Batch(
        codes=torch.zeros(count, sizes.quantizers, frames, dtype=torch.int32),
        frames=torch.zeros(count, dtype=torch.int64),
        phonemes=torch.zeros(count, tokens, dtype=torch.int64),
        tokens=torch.zeros(count, dtype=torch.int64),
        durations=torch.zeros(count, tokens, dtype=torch.int64),
        f0=torch.zeros(count, frames),
        prompt_codes=torch.zeros(count, sizes.quantizers, prompt, dtype=torch.int32),
        prompt_frames=torch.zeros(count, dtype=torch.int64),
        seeds=torch.zeros(count, dtype=torch.int64),
    )
    draws = draw(
        _Rows(count),
        _Rows(count),
        frames,
        sizes,
        config.diffusion,
        self_condition=False,  # type: ignore[arg-type]
    )
    return Share(((batch.to(GPU), draws.to(GPU)),), tally=Tally(1, 1, 1, 1, 1, 1))


class _Rows:
    """Seeds or lengths that have values, unlike fake tensors."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def tolist(self) -> list[int]:
        return [1] * self._count


@pytest.mark.parametrize("name", ["paper", "base", "seed"])
def test_a_step_never_leaves_the_gpu_and_never_waits_for_it(walk: Any, name: str) -> None:
    trainer, elsewhere, fetched = walk(name)
    assert not elsewhere
    wanted = {"loss", "grad_norm", "diffusion", "score", "ce_rvq", "duration", "pitch", "voicing"}
    assert fetched == [wanted]
    grads = [p.grad for p in trainer.model.parameters()]
    assert all(grad is not None and grad.device == GPU for grad in grads)
    state = trainer._optimizer.state_dict()["state"]
    assert all(t.device == GPU for values in state.values() for t in values.values())
    assert all(t.device == GPU for t in trainer.averaged.parameters())


def test_convolutions_take_and_give_frames_as_they_lie_in_memory(walk: Any) -> None:
    """Torch tells on a fake tensor how the result of a kernel would lie."""
    for causal in (False, True):
        with GPU:
            conv = Conv(16, 32, 3, dilation=2, causal=causal)
            found = conv(torch.randn(4, 50, 16), torch.ones(4, 50, dtype=torch.bool))
        assert found.shape == (4, 50, 32) and found.is_contiguous() and found.device == GPU


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_so_is_a_step_with_and_without_self_conditioning(walk: Any, value: float) -> None:
    trainer, elsewhere, _ = walk("tiny", **{"model.diffusion.self_condition": value})
    assert not elsewhere and trainer._self_conditions() is (value > 0)


def test_the_walk_would_find_a_wait_and_another_device(
    walk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = NS2.total
    monkeypatch.setattr(NS2, "total", lambda self, losses: total(self, losses) * 1.0)
    assert not walk("tiny")[1]
    monkeypatch.setattr(NS2, "total", lambda self, losses: total(self, losses).cpu())
    assert any("on cpu" in found for found in walk("tiny")[1])

    def waits(self: NS2, losses: dict[str, Tensor]) -> Tensor:
        found = total(self, losses)
        return found if bool(found > 0) else -found

    monkeypatch.setattr(NS2, "total", waits)
    with pytest.raises(DataDependentOutputException):
        walk("tiny")


def test_the_backward_pass_of_this_walk_is_torchs() -> None:
    model, batch = make_model("seed", training=False), make_batch()
    draws = model.draw(batch, self_condition=True)
    model.total(model(batch, draws)).backward()
    wanted = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    backward(model.total(model(batch, draws)))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-5, atol=1e-6)
