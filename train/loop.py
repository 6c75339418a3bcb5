"""The training of NaturalSpeech 2, step after step.

A step is a pure function of the weights, the optimiser's state and its number: which utterances it
has, their prompts, times, noise and drops are all derived from (seed, step). So a run goes on from
a checkpoint as if nothing had happened, also with another number of processes, which share each
step and add up their gradients; losses are divided by counts of the whole step.
"""

from __future__ import annotations

import copy
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ns2.model.batch import Batch, Counts, Example, collate
from ns2.model.draws import Draws, draw
from ns2.pipeline.epochs import mixed
from ns2.pipeline.files import atomic_write
from ns2.pipeline.progress import Progress, duration
from ns2.train.build import border_ids, build_model
from ns2.train.checkpoint import save_checkpoint
from ns2.train.config import TrainConfig
from ns2.train.data import Data
from ns2.train.ranks import Ranks
from ns2.train.reader import Fetched, Reader
from ns2.train.run_folder import WEIGHTS, RunFolder

_GRAPHS = 256
_DROPOUT, _SELF_CONDITION = 101, 102
"""What random numbers of a step are for."""


@dataclass(frozen=True)
class Share:
    """What this process does of a step, in one or more parts."""

    parts: tuple[tuple[Batch, Draws], ...]

    def pin_memory(self) -> Share:
        """The batches in pinned memory, so that copies to a GPU are asynchronous."""
        return Share(tuple((batch.pin_memory(), draws) for batch, draws in self.parts))


class Trainer:
    """A model while it learns; `run` does all steps."""

    def __init__(
        self, config: TrainConfig, data: Data, ranks: Ranks, *, compiled: bool = False
    ) -> None:
        self.config, self.data, self.ranks = config, data, ranks
        dataset = data.datasets[0]
        self.model = build_model(dataset, config.model, seed=config.seed).to(ranks.device)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self._border = border_ids(dataset.phoneme_table)
        self._loss: nn.Module = self.model
        if compiled:
            # one graph for each shape and either value of self-conditioning: shapes are few
            torch._dynamo.config.recompile_limit = _GRAPHS
            self._loss = torch.compile(self.model, fullgraph=True, dynamic=False)  # type: ignore[assignment]
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.step = 0
        self.place = (0, 0)

    # -- a step ----------------------------------------------------------------------------------

    def share(self, fetched: Sequence[Fetched]) -> Share:
        """What this process does of a step: a reader's `collate`."""
        config, parts = self.config, []
        examples = [
            Example(
                codes=one.arrays["codes"],
                phonemes=one.arrays["phonemes"],
                durations=one.arrays["durations"],
                f0=one.arrays["f0"],
                seed=one.seed,
                other=one.other,
            )
            for one in fetched
        ]
        size = -(-len(examples) // config.accumulate)
        for first in range(0, len(examples), size):
            batch = collate(
                examples[first : first + size],
                self._border,
                config.model.prompt,
                frame_multiple=config.frame_multiple,
                token_multiple=config.token_multiple,
                prompt_multiple=config.frame_multiple,
            )
            draws = draw(
                batch.seeds,
                batch.frames,
                batch.codes.shape[2],
                self.model.sizes,
                config.model.diffusion,
                self_condition=False,
            )
            parts.append((batch, draws))
        return Share(tuple(parts))

    def learn(self, share: Share | None) -> dict[str, float]:
        """One step: returns its losses, their total, and the gradient's norm.

        Args:
            share: of this process; None where it has no utterance in this step.
        """
        config, device = self.config, self.ranks.device
        torch.manual_seed(int(mixed(config.seed, self.step, _DROPOUT, self.ranks.rank) >> 1))
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        parts = [
            (batch.to(device), replace(draws.to(device), self_condition=self._self_conditions()))
            for batch, draws in (share.parts if share else ())
        ]
        counts = self._counts([batch for batch, _ in parts])
        self._optimizer.zero_grad(set_to_none=False)
        named: dict[str, Tensor] = {}
        for batch, draws in parts:
            with self._autocast():
                losses = self._loss(batch, draws, counts)
            self.model.total(losses).backward()
            for name, loss in losses.items():
                named[name] = named.get(name, 0) + loss.detach()
        return self._update(named)

    def _update(self, named: dict[str, Tensor]) -> dict[str, float]:
        """Add up over all processes, then move the weights."""
        config = self.config
        names = ["diffusion", "score", "ce_rvq"]
        if config.model.conditional:
            names += ["duration", "pitch", "voicing"]
        zero = torch.zeros((), device=self.ranks.device)
        losses = torch.stack([named.get(name, zero).float() for name in names])
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.ranks.sum([p.grad for p in parameters if p.grad is not None])
        self.ranks.sum([losses])
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.clip or float("inf"))
        self._optimizer.step()
        decay = config.ema_at(self.step)
        means: list[Tensor] = list(self.averaged.parameters())
        weights: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(means, weights, 1 - decay)
        by_name = dict(zip(names, losses.unbind(), strict=True))
        values = torch.stack([self.model.total(by_name), *losses, norm]).tolist()
        return dict(zip(("loss", *names, "grad_norm"), values, strict=True))

    def _counts(self, batches: Sequence[Batch]) -> Counts:
        """Of the whole step."""
        total = torch.zeros(4, device=self.ranks.device)
        for batch in batches:
            voiced = ((batch.f0 > 0) & batch.frame_mask).sum()
            own = [batch.frames.sum(), batch.tokens.sum(), voiced]
            total += torch.stack([*own, own[0] * 0 + len(batch)]).float()
        self.ranks.sum([total])
        frames, tokens, voiced, utterances = total.clamp(min=1).unbind()
        return Counts(frames=frames, tokens=tokens, voiced=voiced, utterances=utterances)

    def _self_conditions(self) -> bool:
        drawn = int(mixed(self.config.seed, self.step, _SELF_CONDITION)) / 2**64
        return drawn < self.config.model.diffusion.self_condition

    def _autocast(self) -> torch.autocast:
        enabled = self.config.precision == "bf16"
        return torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=enabled)

    # -- a run -----------------------------------------------------------------------------------

    def run(self, folder: RunFolder, progress: Progress, *, check: bool, on_damage: str) -> bool:
        """Do all steps that are left.

        Returns:
            whether all are done; False where a signal stopped it, after a whole step and a save.
        """
        config, saved = self.config, self.step
        progress.phase("training", config.steps, unit="steps")
        started, first = time.monotonic(), self.step
        reader = Reader(
            self.data,
            self.share,
            seed=config.seed,
            global_frames=config.global_frames,
            start=self.place,
            rank=self.ranks.rank,
            ranks=self.ranks.count,
            check=check,
            on_damage="skip" if on_damage == "skip" else "raise",
            other_below=config.model.prompt.whole_below,
            pin=self.ranks.device.type == "cuda",
        )
        self.model.train()
        with reader, _stop_asked() as stopped:
            while self.step < config.steps:
                began, waited = time.perf_counter(), reader.meter.waited
                step = next(reader)
                for message in step.skipped:
                    progress.note(f"left out: {message}")
                found = self.learn(step.batch)
                lr = config.learning_rate_at(self.step)
                self.step, self.place = self.step + 1, step.next
                seconds = time.perf_counter() - began
                wait = (reader.meter.waited - waited) / seconds
                if self.ranks.rank == 0:
                    folder.log(
                        {
                            "step": self.step,
                            **found,
                            "lr": lr,
                            "frames": step.global_frames,
                            "epoch": step.epoch,
                            "skipped": len(step.skipped),
                            "data_wait": wait,
                            "seconds": seconds,
                        }
                    )
                    left = (time.monotonic() - started) / (self.step - first)
                    left *= config.steps - self.step
                    more = (
                        f", lr {lr:.1e}, {step.global_frames / seconds:,.0f} frames/s, "
                        f"{wait:.1%} waiting{_memory(self.ranks.device)}, {duration(left)} left"
                    )
                    progress.training(self.step, config.steps, found["loss"], more)
                stop = self.ranks.any(bool(stopped))
                if stop or self.step == config.steps or self.step % config.checkpoint_every == 0:
                    self.save(folder)
                    saved = self.step
                if stop:
                    break
        assert saved == self.step
        return self.step >= config.steps

    def save(self, folder: RunFolder) -> None:
        """Write a checkpoint, and the averaged weights for use elsewhere."""
        if self.ranks.rank:
            return
        from safetensors.torch import save

        save_checkpoint(folder.root, self.step, self.state(), self.config.keep)
        weights = {name: t.contiguous() for name, t in self.averaged.state_dict().items()}
        with atomic_write(folder.root / WEIGHTS) as file:
            file.write(save(weights))

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "step": self.step,
            "place": list(self.place),
            "data": self.data.digest,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.step = state["step"]
        self.place = (state["place"][0], state["place"][1])
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])


@contextmanager
def _stop_asked() -> Iterator[list[int]]:
    """A list that is no longer empty once SIGTERM or SIGINT came; a second one acts at once."""
    asked: list[int] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, _: Any) -> None:
        asked.append(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _memory(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    return f", {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"


def train(
    config: TrainConfig,
    data: Data,
    out: Path,
    progress: Progress,
    *,
    device: str = "cpu",
    compiled: bool = False,
    fresh: bool = False,
    check: bool = True,
    on_damage: str = "raise",
) -> bool:
    """Train, or go on with a run; see `Trainer.run`.

    Raises:
        UserError: the folder is of another run, or data is damaged or was changed.
    """
    from importlib.metadata import version

    ranks = Ranks(device)
    try:
        folder = RunFolder(out)
        about = {
            "data": data.digest,
            "datasets": [dataset.card["digest"] for dataset in data.datasets],
            "versions": {name: version(name) for name in ("ns2", "torch", "numpy")},
        }
        trainer = Trainer(config, data, ranks, compiled=compiled)
        state = folder.open(config, about, fresh=fresh) if ranks.rank == 0 else {}
        ranks.any(False)  # the others look once the first has settled what is there
        if ranks.rank:
            state = folder.newest()
        if state:
            trainer.load(state)
            progress.note(f"{out}: goes on after step {trainer.step}")
        return trainer.run(folder, progress, check=check, on_damage=on_damage)
    finally:
        ranks.close()
