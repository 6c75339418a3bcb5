"""One step of training NaturalSpeech 2, and the state between two steps.

A step is a pure function of the weights, the optimiser's state and the step's number: its
utterances, their prompts, times, noise and dropped conditions are all derived from (seed, step).
Processes share each step and add up their gradients; losses are divided by counts of the whole
step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ns2.model.tts.batch import Batch, Example, collate
from ns2.model.tts.draws import draw
from ns2.model.tts.parameters import backward_order
from ns2.model.tts.work import PassShape, Work
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.train.data.epochs import mixed
from ns2.train.data.prefetch import Fetched
from ns2.train.data.selection import Data
from ns2.train.run.saver import check_finite
from ns2.train.run.settings import TrainConfig
from ns2.train.step.averaging import average, averaged_copy
from ns2.train.step.begun import fitted, hold_still
from ns2.train.step.build import border_ids, build_model
from ns2.train.step.gradients import Gradients
from ns2.train.step.inside import WeightWatch, activations
from ns2.train.step.later import by_name, fetch_later
from ns2.train.step.ranks import Ranks
from ns2.train.step.repeated import compile_layers, recompute_layers
from ns2.train.step.tally import Share, Tally, tally
from ns2.train.step.utterance_losses import UtteranceLosses, observed

_DROPOUT, _SELF_CONDITION = 101, 102
"""Purposes of a step's random numbers, which are hashed with its seed."""


class Trainer:
    """A model in training: its weights, their average, the optimiser, and the place in the data.

    Attributes:
        model: the weights that steps move.
        averaged: the running mean of those weights (EMA), which is the result.
        step: the number of steps that are done.
        place: (epoch, step within it) of the next step.
        best: step and loss of the best validation so far; None before the first.
        skips: the number of steps in a row, up to the last, that changed nothing, since their
            loss or gradient was not finite.
        before_update: is called before each step changes the weights.
        losses: those of utterances; None where they are not kept.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Data,
        ranks: Ranks,
        *,
        compiled: bool = False,
        table: PhonemeTable | None = None,
    ) -> None:
        """Make the model, with random weights, and its optimiser.

        Args:
            compiled: have torch compile the layers that are repeated.
            table: a phoneme table that has all ids of the data's; None for the data's own.

        Raises:
            UserError: no model fits the data, or the model has no such part to hold still.
        """
        self.config, self.data, self.ranks = config, data, ranks
        table = table or data.table
        model = build_model(data.datasets[0], config.model, seed=config.seed, table=table)
        self.model = model.to(ranks.device)
        self.averaged = averaged_copy(self.model)
        hold_still(self.model, config.frozen)
        self.border = border_ids(table)
        if config.recompute:
            recompute_layers(self.model)
        if compiled:
            compile_layers(self.model)
        self._work = Work(self.model)
        self._optimizer = torch.optim.AdamW(
            [p for p in self.model.parameters() if p.requires_grad],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.step = 0
        self.place = (0, 0)
        self.best: tuple[int, float] | None = None
        self.skips = 0
        self.before_update: Callable[[], None] = lambda: None
        self.losses = UtteranceLosses(len(data), ranks.device) if config.utterance_loss else None
        self._gradients = Gradients(backward_order(self.model), ranks, len(self._names))
        self._begun: tuple[int, Callable[[], dict[str, float]]] | None = None

    def due(self, every: int) -> bool:
        """Whether something that is done every so many steps, and at the end, is due now.

        Args:
            every: the number of steps; 0 for never.
        """
        return every > 0 and (self.step % every == 0 or self.step == self.config.steps)

    def batches(self, fetched: Sequence[Fetched]) -> list[Batch]:
        """Batches of utterances: as many as gradients are accumulated over, or fewer."""
        config = self.config
        examples = [
            Example(
                codes=one.arrays["codes"],
                phonemes=one.arrays["phonemes"],
                durations=one.arrays["durations"],
                f0=one.arrays["f0"],
                seed=one.seed,
                other=one.other,
                share=one.share,
            )
            for one in fetched
        ]
        size = -(-len(examples) // config.accumulate)
        return [
            collate(
                examples[first : first + size],
                self.border,
                config.model.prompt,
                frame_multiple=config.frame_multiple,
                token_multiple=config.token_multiple,
                prompt_multiple=config.frame_multiple,
            )
            for first in range(0, len(examples), size)
        ]

    def share(self, fetched: Sequence[Fetched]) -> Share:
        """The share of a step that these utterances are: a reader's `collate`.

        Its random numbers are drawn too, and where the model is on a GPU all of it is sent there.
        """
        sizes, diffusion = self.model.sizes, self.config.model.diffusion
        batches = self.batches(fetched)
        parts = tuple(
            (
                batch,
                draw(
                    batch.seeds,
                    batch.frames,
                    batch.codes.shape[2],
                    sizes,
                    diffusion,
                    self_condition=False,  # drawn for the step as a whole
                ),
            )
            for batch in batches
        )
        numbers = torch.tensor([one.number for one in fetched], dtype=torch.int64)
        sizes_of_parts = [len(batch) for batch in batches]
        share = Share(parts, numbers.split(sizes_of_parts), tally=tally(batches))
        return share if self.ranks.device.type == "cpu" else share.send(self._copies)

    @cached_property
    def _copies(self) -> torch.cuda.Stream:
        """The stream of the GPU that shares arrive by, beside that of the steps."""
        return torch.cuda.Stream(self.ranks.device)

    def learn(
        self, share: Share | None, statistics: dict[str, float] | None = None
    ) -> dict[str, float]:
        """Do one step, and wait for it; `step` and `place` are left to the caller.

        Returns:
            see `finish`.
        """
        self.begin(share, statistics)
        return self.finish()

    def begin(
        self,
        share: Share | None,
        statistics: dict[str, float] | None = None,
        counted: Tally | None = None,
    ) -> dict[str, float] | None:
        """Have the device do one step; `step` and `place` are left to the caller.

        A step whose loss or gradient is not finite changes nothing, and is counted in `skips`.

        Args:
            share: of this process; None where it has no utterance in this step.
            statistics: is filled with those of `ns2.train.step.inside`; None takes none.
            counted: what all processes together have in this step; None asks them.

        Returns:
            what `finish` returns, for the step before, unless it was asked; then None.
        """
        config, device = self.config, self.ranks.device
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        if counted is None:
            counted = self.total(share.counted if share else Tally())
        if share is not None:
            share.receive()
        parts = [
            (batch.to(device), replace(draws.to(device), self_condition=self._self_conditions()))
            for batch, draws in (share.parts if share else ())
        ]
        counts = counted.counts(device)

        # a pass of its own, so that no hook is in the model while it learns
        if statistics is not None and parts:
            with torch.no_grad(), self.autocast(), activations(self.model) as found:
                self.model(*parts[0], counts)
            statistics.update(by_name(found))

        # dropout has torch's own generator: it depends on seed, step and rank from here on
        torch.manual_seed(int(mixed(config.seed, self.step, _DROPOUT, self.ranks.rank) >> 1))
        self._gradients.begin()
        for i, (batch, draws) in enumerate(parts):
            numbers = share.numbers[i] if share and share.numbers else None
            with self.autocast(), observed(self.losses, self.model, numbers, draws):
                losses = self.model(batch, draws, counts)
            self._gradients.extra.add_(self._stacked(losses))
            with self._gradients.sent() if i + 1 == len(parts) else nullcontext():
                self.model.total(losses).backward()
        self._gradients.finish()
        return self._update(statistics)

    def _update(self, statistics: dict[str, float] | None) -> dict[str, float] | None:
        """Move the weights by the gradients of all processes; returns what `begin` does."""
        losses = self._by_loss(self._gradients.extra.clone())
        watch = None if statistics is None else WeightWatch(self.model)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.clip or float("inf"))
        # as torch's GradScaler tells it: the device itself decides, and nothing waits for it
        damaged = ~(norm + losses["loss"]).isfinite()
        before = self.finish() if self._begun is not None else None  # the step's only wait
        self.before_update()
        self._optimizer.found_inf = damaged.float()  # type: ignore[attr-defined]
        self._optimizer.step()
        if statistics is not None and watch is not None:
            statistics.update(by_name(watch.after()))
        self._begun = (self.step, fetch_later({**losses, "grad_norm": norm}))
        return before

    def finish(self) -> dict[str, float]:
        """Wait for the last step, and average the weights that it moved, if it moved any.

        Returns:
            its named losses, their total `loss`, and `grad_norm` before clipping.

        Raises:
            ValueError: no step was begun.
        """
        if self._begun is None:
            raise ValueError("no step was begun that has not been waited for")
        (step, fetch), self._begun = self._begun, None
        found = fetch()
        if math.isfinite(found["grad_norm"] + found["loss"]):
            average(self.averaged, self.model, decay=self.config.ema, step=step)
            self.skips = 0
        else:
            self.skips += 1
        return found

    @property
    def busy(self) -> bool:
        """Whether a step was begun that has not been waited for."""
        return self._begun is not None

    def summed(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of all processes added up, their total first; a process without them adds 0."""
        own = self._stacked(losses)
        self.ranks.sum([own])
        return self._by_loss(own)

    def _stacked(self, losses: dict[str, Tensor]) -> Tensor:
        """Losses in the order of their names, (n,); 0 where there are none."""
        zero = torch.zeros((), device=self.ranks.device)
        return torch.stack([losses.get(name, zero).detach().float() for name in self._names])

    def _by_loss(self, stacked: Tensor) -> dict[str, Tensor]:
        """Losses by their names, from (n,), their total first."""
        found = dict(zip(self._names, stacked.unbind(), strict=True))
        return {"loss": self.model.total(found), **found}

    @property
    def _names(self) -> list[str]:
        names = ["diffusion", "score", "ce_rvq"]
        return [*names, "duration", "pitch", "voicing"] if self.config.model.conditional else names

    def total(self, own: Tally) -> Tally:
        """What all processes together have."""
        return Tally(*self.ranks.total(*own))

    def work(self, share: Share | None) -> float:
        """The floating-point operations of this process's share of the next step, see `Work`."""
        return sum(
            self._work.of_pass(
                PassShape(
                    batch=len(batch),
                    frames=batch.codes.shape[2],
                    phonemes=batch.phonemes.shape[1],
                    prompt=batch.prompt_codes.shape[2],
                ),
                self_condition=self._self_conditions(),
            )
            for batch, _ in (share.parts if share else ())
        )

    def _self_conditions(self) -> bool:
        """Whether the step conditions itself: drawn for all its utterances at once."""
        drawn = int(mixed(self.config.seed, self.step, _SELF_CONDITION)) / 2**64
        return drawn < self.config.model.diffusion.self_condition

    def autocast(self) -> torch.autocast:
        """The context in which a step computes: bfloat16 or float32, as `precision` says."""
        device = self.ranks.device.type
        bf16 = self.config.precision == "bf16" or (
            self.config.precision == "auto" and device == "cuda"
        )
        return torch.autocast(device, torch.bfloat16, enabled=bf16)

    def state(self) -> dict[str, Any]:
        """A checkpoint's content: all that the next step depends on; the last one is finished."""
        return {
            "step": self.step,
            "place": list(self.place),
            "best": list(self.best or ()),
            "skips": self.skips,
            "data": self.data.digest,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with the weights of another run, see `fitted`; its average begins there, too.

        Raises:
            UserError: they do not fit the model.
        """
        found = fitted(self.model.state_dict(), weights)
        self.model.load_state_dict(found)
        self.averaged.load_state_dict(found)

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's content."""
        self.step = state["step"]
        self.place = (state["place"][0], state["place"][1])
        best = state.get("best")
        self.best = (best[0], best[1]) if best else None
        self.skips = state.get("skips", 0)
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.losses is not None and "utterance_loss" in state:
            self.losses.load(state["utterance_loss"], self.ranks)

    def check_finite(self, where: str) -> None:
        """See that nothing that a checkpoint holds is NaN or infinite.

        Args:
            where: what holds it; the beginning of the message.

        Raises:
            UserError: naming a weight that is not finite.
        """
        check_finite(self.state(), where)
