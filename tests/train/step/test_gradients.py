"""Gradients in slices: what is added up, when, and how many messages and waits a step takes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ns2.model.config_values import changed
from ns2.pipeline.core.progress import Progress
from ns2.train.data.selection import open_data
from ns2.train.loop.loop import train as run_in
from ns2.train.run.recipes import training
from ns2.train.run.train_options import TrainOptions
from ns2.train.step import gradients
from ns2.train.step import trainer as trainer_module
from ns2.train.step.gradients import Gradients
from ns2.train.step.ranks import Ranks
from tests.support import warm
from tests.support.dataset_factories import Recipe, make_dataset
from tests.train.loop.test_together import environment
from tests.train.loop.test_watching import SETTINGS
from tests.train.step.test_ranks import free_ports

MESSAGES = ("all_reduce", "broadcast", "all_gather", "all_gather_object", "broadcast_object_list",
            "barrier", "reduce", "all_gather_into_tensor", "reduce_scatter_tensor")  # fmt: skip
WAITS = ("item", "tolist", "__bool__", "__float__", "__int__", "__index__", "cpu", "numpy")


def in_two(work: Callable[..., None], *arguments: Any) -> list[Any]:
    """What a function puts into a queue in each of two processes, by rank."""
    context, (port,) = warm.context(), free_ports(1)
    results = context.Queue()
    both = [
        context.Process(target=work, args=(rank, port, results, *arguments)) for rank in range(2)
    ]
    for one in both:
        one.start()
    try:
        got = dict(results.get(timeout=240) for _ in range(2))
        for one in both:
            one.join(60)
            assert one.exitcode == 0
    finally:
        for one in both:
            one.kill()
    return [got[0], got[1]]


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(40, 40) for _ in range(6)]
    unused = nn.Linear(40, 3)  # no gradient ever comes here
    return nn.ModuleList([nn.Sequential(*layers[:3]), unused, nn.Sequential(*layers[3:])])


def loss_of(model: Any, rank: int) -> Tensor:
    x = torch.linspace(-1, 1, 80).reshape(2, 40) * (1 + rank)
    found: Tensor = model[2](model[0](x).tanh()).square().mean()
    return found


def add_up(rank: int, port: int, results: Any, passes: tuple[int, int]) -> None:
    """Add up the gradients of some backward passes of each process."""
    torch.set_num_threads(1)
    os.environ |= environment(rank, port)
    gradients.SLICE = 6_000  # bytes: a layer
    early: list[int] = []
    send = dist.all_reduce
    with Ranks("cpu") as ranks:
        model = network()
        found = Gradients(list(model.parameters())[::-1], ranks, 2)
        during = [False]

        def noted(tensor: Tensor, *more: Any, **named: Any) -> Any:
            early.append(during[0])
            return send(tensor, *more, **named)

        dist.all_reduce = noted
        for _ in range(2):  # the second step has nothing of the first
            found.begin()
            early.clear()
            found.extra += torch.tensor([1.0, rank])
            for number in range(passes[rank]):
                if number + 1 < passes[rank]:
                    loss_of(model, rank).backward()
                    continue
                with found.sent():
                    during[0] = True
                    loss_of(model, rank).backward()
                    during[0] = False
            found.finish()
        dist.all_reduce = send
        grads = [p.grad.tolist() for p in model.parameters() if p.grad is not None]
        results.put((rank, (grads, found.extra.tolist(), found.slices, list(early))))
        ranks.meet()


@pytest.mark.parametrize("passes", [(1, 1), (2, 1), (1, 0)])
def test_gradients_are_those_of_all_processes(passes: tuple[int, int]) -> None:
    (ours, extra, slices, early), theirs = in_two(add_up, passes)
    assert (ours, extra) == theirs[:2]
    model = network()
    sum((loss_of(model, r) * n for r, n in enumerate(passes)), torch.zeros(())).backward()
    parameters = list(model.parameters())
    assert len(ours) == len(parameters)
    for got, parameter in zip(ours, parameters, strict=True):
        wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(torch.tensor(got), wanted, rtol=1e-5, atol=1e-7)
    assert extra == [2.0, 1.0]
    assert slices >= 5 and len(early) == slices == len(theirs[3])
    # those of the later layers, which have their gradients first, go before the pass has ended;
    # from the layer without gradients on they wait for its end
    assert 2 <= sum(early) < slices and early == sorted(early, reverse=True)
    if not passes[1]:
        assert not any(theirs[3])  # it takes part, though it has no pass


class Waits(TorchFunctionMode):
    """Counts what would wait for a GPU; float64 are numbers that never lie on one."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
        name = getattr(function, "__name__", "")
        if name in WAITS and isinstance(args[0], Tensor) and args[0].dtype != torch.float64:
            self.found[name] += 1
        return function(*args, **(kwargs or {}))


def count(rank: int, port: int, results: Any, data: Path, out: Path, steps: int) -> None:
    """Count messages, fetches of losses and other waits of a run of so many steps."""
    torch.set_num_threads(1)
    os.environ |= environment(rank, port)
    gradients.SLICE = 1 << 20
    counted: Counter[str] = Counter()

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*more: Any, **named: Any) -> Any:
            counted[name] += 1
            return function(*more, **named)

        return called

    for name in MESSAGES:
        setattr(dist, name, counting("messages", getattr(dist, name)))
    fetch = trainer_module.fetch_later
    trainer_module.fetch_later = lambda values: counting("fetches", fetch(values))
    slices = []
    begin = Gradients.__init__

    def begins(self: Gradients, *more: Any) -> None:
        begin(self, *more)
        slices.append(self.slices)

    Gradients.__init__ = begins  # type: ignore[method-assign]
    settings = {**SETTINGS, "steps": steps, "validate_every": 0, "checkpoint_every": 1000}
    config = changed(training("tiny"), settings)
    with Waits() as waits:
        run_in(config, open_data([data]), out, Progress(), TrainOptions())
    results.put((rank, ({**counted, "waits": waits.found.total()}, slices[0])))


def test_a_step_takes_its_slices_one_message_more_and_one_wait(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", Recipe(shards=4, per_shard=4))
    few, many = (in_two(count, data, tmp_path / f"run{steps}", steps) for steps in (4, 9))
    for (before, slices), (after, _) in zip(few, many, strict=True):
        assert slices > 2
        each = {name: (after[name] - before[name]) / 5 for name in after}
        assert each["messages"] == slices + 1
        assert each["fetches"] == 1
        assert each["waits"] == 1  # that fetch
