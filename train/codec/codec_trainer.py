"""One step of training a codec, and the state between two steps.

A step is a function of the weights, the optimiser's state and the step's number alone: all random
numbers follow from the seed and the step.

Letters for shapes: B batch, S samples, T frames, D latent width.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ns2.model.codec.mini.codebooks import CodebookTrainer, start_from
from ns2.model.codec.mini.losses import SpectralLoss
from ns2.model.codec.mini.mini_config import HOP_LENGTH, SAMPLE_RATE
from ns2.model.codec.mini.network import MiniNetwork, quantise
from ns2.model.log_mel import LogMel
from ns2.pipeline.core.errors import UserError
from ns2.train.codec.crops import Crops, Voices
from ns2.train.codec.training_config import CodecTraining
from ns2.train.step.averaging import average, averaged_copy

VERSION = 3
"""The version of checkpoints' content."""
_START_BATCHES = 16
"""Batches from whose latents the first codebooks are made."""
_SETTLE_FRAMES = 60
"""Frames for each entry to which the codebooks are fitted at the end."""
_VALIDATION_SECONDS = 60.0


@dataclass
class Spent:
    """How far a training is.

    Attributes:
        step: steps that are done.
        seconds: the time that they took.
        quantised: the step at which quantisation began; -1 before it has.
    """

    step: int = 0
    seconds: float = 0.0
    quantised: int = -1


class CodecTrainer:
    """A codec's network in training.

    Attributes:
        averaged: the running mean of its weights (EMA), which is the result.
        spent: how far the training is.
    """

    def __init__(
        self,
        config: CodecTraining,
        voices: Voices,
        device: str = "cpu",
        init: MiniNetwork | None = None,
    ) -> None:
        """Begin with random weights, or with those of another network.

        Args:
            init: a network of the same sizes, see `start_from`.
        """
        self.config, self.spent, self._device = config, Spent(), device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self._network = MiniNetwork(config.network)
        if init is not None:
            start_from(self._network, init)
            self.spent.quantised = 0
        self._network.to(device)
        self.averaged = averaged_copy(self._network)
        self._codebooks = CodebookTrainer(self._network.codebooks)
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
        )
        samples = config.frames * HOP_LENGTH
        self._crops = Crops(voices, batch=config.batch, samples=samples, seed=config.seed)
        self._validation = [torch.from_numpy(wave) for wave in voices.validation]
        self._loss = SpectralLoss(SAMPLE_RATE, device)
        self._half = _half_precision(device)

    # -- how far the training is -----------------------------------------------------------------

    @property
    def share(self) -> float:
        """The share of the training that is done, 0 to 1."""
        if self.config.minutes is not None:
            return min(1.0, self.spent.seconds / (60 * self.config.minutes))
        return min(1.0, self.spent.step / self.config.steps)

    def steps_expected(self) -> int:
        """The number of steps in all; an estimate where the training has a time and no number."""
        if self.config.minutes is None:
            return self.config.steps
        return max(self.spent.step, round(self.spent.step / max(self.share, 1e-6)))

    def _has_plain_steps(self) -> bool:
        """Whether the steps without a quantiser are done: a tenth of all at most."""
        plain, step = self.config.plain_steps, self.spent.step
        if self.config.minutes is not None:
            return step >= plain or self.share >= 0.1
        return step >= min(plain, self.config.steps // 10)

    def _natural(self) -> float:
        """The share of pieces that are not augmented."""
        config = self.config
        return float(np.clip((self.share - config.hold) / (config.natural - config.hold), 0, 1))

    def _learning_rate(self) -> float:
        config = self.config
        rise = min(1.0, (self.spent.step + 1) / config.warmup)
        late = max(0.0, (self.share - config.hold) / (1 - config.hold))
        return config.learning_rate * rise * max(0.01, (1 + math.cos(math.pi * late)) / 2)

    # -- a step ----------------------------------------------------------------------------------

    def step(self) -> dict[str, Any]:
        """Do one step.

        Returns:
            a row of the log: step, seconds, learning rate, the gradient's norm, and each loss.
        """
        began = time.monotonic()
        number = self.spent.step
        rng = self._crops.rng(number)
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate()
        waves = self._crops.batch(rng, self._natural()).to(self._device)

        # codebooks are made from latents of an encoder that has learned something already
        if self.spent.quantised < 0 and self._has_plain_steps():
            self._start_codebooks(rng)
            self.spent.quantised = number

        losses = self._losses(waves, rng)
        loss = sum((getattr(self.config, name) * one for name, one in losses.items()), start=0.0)
        assert isinstance(loss, Tensor)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimizer.step()
        self._average()
        self.spent.step += 1
        self.spent.seconds += time.monotonic() - began
        return {
            "step": self.spent.step,
            "seconds": round(self.spent.seconds, 1),
            "learning_rate": self._learning_rate(),
            "gradient": float(norm),
            **{name: float(one.detach()) for name, one in losses.items()},
        }

    def _losses(self, waves: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of a batch of waves (B, S), without their weights."""
        features = self._network.features(waves)
        with self._autocast():
            latents = self._network.encoder(features)
        latents = latents.float()
        parts: dict[str, Tensor] = {}
        if self.spent.quantised >= 0:
            used = self._depths(rng)
            self._codebooks.revive(latents, self.spent.step, rng)
            latents, parts["commitment"] = self._codebooks(latents, used)
        with self._autocast():
            made = self._network.decoder(latents)
        return {**self._loss(made, waves), **parts}

    def _depths(self, rng: np.random.Generator) -> np.ndarray:
        """The number of quantisers for each piece, in falling order: all for half of the pieces."""
        most = self.config.network.quantizers
        fewer = rng.integers(1, most + 1, self.config.batch)
        depths = np.where(rng.random(self.config.batch) < 0.5, most, fewer)
        depths[0] = most
        return np.sort(depths)[::-1].copy()

    def _average(self) -> None:
        average(self.averaged, self._network, decay=self.config.ema, step=self.spent.step)
        self.averaged.codebooks.copy_(self._network.codebooks)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.split(":")[0], torch.bfloat16, enabled=self._half)

    # -- codebooks -------------------------------------------------------------------------------

    @torch.no_grad()
    def _start_codebooks(self, rng: np.random.Generator) -> None:
        latents = []
        for _ in range(_START_BATCHES):
            waves = self._crops.batch(rng).to(self._device)
            latents.append(self._network.encode(waves).flatten(0, 1))
        self._codebooks.start(torch.cat(latents), rng)

    @torch.no_grad()
    def settle(self) -> None:
        """Fit the codebooks to latents of the averaged encoder, with which they will be used."""
        config, crops = self.config, self._crops
        if self.spent.quantised < 0:
            return
        rng = np.random.default_rng([config.seed, 1, 1])
        batches = _SETTLE_FRAMES * config.network.entries / (config.batch * config.frames)
        # a corpus of four times the length gives twice as much
        shares = np.sqrt(crops.seconds) / np.sqrt(crops.seconds).sum()
        groups = []
        for corpus, count in enumerate(np.ceil(batches * shares).astype(int).tolist()):
            latents = [
                self.averaged.encode(
                    crops.batch(rng, natural=1.0, corpus=corpus).to(self._device)
                ).flatten(0, 1)
                for _ in range(count)
            ]
            groups.append(torch.cat(latents))
        self._codebooks.settle(groups)
        self.averaged.codebooks.copy_(self._network.codebooks)

    # -- validation ------------------------------------------------------------------------------

    @torch.no_grad()
    def copies(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Validation recordings and the averaged network's copies of them, (S,) each."""
        network = self.averaged
        for wave in self._validation:
            whole = wave[: len(wave) // HOP_LENGTH * HOP_LENGTH]
            latents = network.encode(whole[None].to(self._device))
            if self.spent.quantised >= 0:
                codes = quantise(latents, network.codebooks)
                latents = sum(
                    (book[codes[..., q]] for q, book in enumerate(network.codebooks)),
                    start=torch.zeros_like(latents),
                )
            yield whole, network.decoder(latents)[0].cpu()

    def validate(self) -> float:
        """The mean distance of log-mels, in nepers, over about a minute of the recordings."""
        mel, distances, seconds = LogMel(), [], 0.0
        for wave, made in self.copies():
            distances.append(float((mel(made) - mel(wave)).abs().mean()))
            seconds += len(wave) / SAMPLE_RATE
            if seconds > _VALIDATION_SECONDS:
                break
        return float(np.mean(distances))

    # -- checkpoints -----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """A checkpoint's content: all that the next step depends on."""
        return {
            "version": VERSION,
            "config": json.dumps(asdict(self.config), sort_keys=True),
            "step": self.spent.step,
            "seconds": self.spent.seconds,
            "quantised": self.spent.quantised,
            "network": self._network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "codebooks": self._codebooks.state(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's content.

        Raises:
            UserError: it is of a network of other sizes, or of another version.
        """
        if state.get("version") != VERSION:
            raise UserError("the checkpoint is of another version of ns2; begin anew")
        saved = json.loads(state["config"])
        if saved["network"] != asdict(self.config.network):
            raise UserError("the checkpoint is of a codec of other sizes; resume with the same")
        self.spent = Spent(state["step"], state["seconds"], state["quantised"])
        self._network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self._codebooks.load(state["codebooks"])
        self._optimizer.load_state_dict(state["optimizer"])


def _half_precision(device: str) -> bool:
    """Whether bfloat16 is faster on a device: on GPUs, and on CPUs with units for it."""
    return device != "cpu" or torch.cpu._is_amx_tile_supported()
