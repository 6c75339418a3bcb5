"""One step of training a codec, and the state between two steps.

A step is a function of the weights, the optimiser's state and the step's number alone: all random
numbers follow from the seed and the step.

Letters for shapes: B batch, S samples, T frames, D latent width, L classes of F0.
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

from ns2.model.codec.mini.blocks import quantise
from ns2.model.codec.mini.codebooks import CodebookTrainer
from ns2.model.codec.mini.losses import SpectralLoss
from ns2.model.codec.mini.mini_config import HOP_LENGTH, SAMPLE_RATE
from ns2.model.codec.mini.network import MiniNetwork
from ns2.model.codec.mini.pitch import embed_pitch
from ns2.model.log_mel import LogMel
from ns2.pipeline.core.errors import UserError
from ns2.train.codec.crops import Crops, Piece, Voices
from ns2.train.codec.training_config import CodecTraining
from ns2.train.step.averaging import average, averaged_copy

VERSION = 5
"""The version of checkpoints' content."""
_START_BATCHES = 16
"""Batches from whose latents the first codebooks are made."""
_SETTLE_FRAMES = 60
"""Frames for each entry to which the codebooks are fitted at the end."""
_VALIDATION_SECONDS = 60.0
_UNVOICED = 0.25
"""The weight of the F0 of an unvoiced frame."""


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
            init: a network of the same sizes.
        """
        self.config, self.spent, self._device = config, Spent(), device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self._network = MiniNetwork(config.network)
        if init is not None:
            self._network.load_state_dict(init.state_dict())
            self.spent.quantised = 0
        self._network.to(device)
        self.averaged = averaged_copy(self._network)
        self._codebooks = CodebookTrainer(self._network.spectral_codebooks)
        self._optimizer = torch.optim.AdamW(
            self._learning().parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
        )
        samples = config.frames * HOP_LENGTH
        self._crops = Crops(voices, batch=config.batch, samples=samples, seed=config.seed)
        self._validation = [torch.from_numpy(one.wave) for one in voices.validation]
        self._loss = SpectralLoss(SAMPLE_RATE, device, loud=config.loud > 0)
        self._half = _half_precision(device)

    def _learning(self) -> torch.nn.Module:
        """The part of the network that learns."""
        return self._network.decoder if self.config.decoder_only else self._network

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
        piece = self._crops.batch(rng, self._natural()).to(self._device)

        # codebooks are made from latents of an encoder that has learned something already
        if self.spent.quantised < 0 and self._has_plain_steps():
            self._start_codebooks(rng)
            self.spent.quantised = number

        losses = self._losses(piece, rng)
        loss = sum(
            (getattr(self.config, name) * one for name, one in losses.items()),
            start=torch.zeros((), device=self._device),
        )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = self._clip()
        self._optimizer.step()
        self._average()
        self.spent.step += 1
        self.spent.seconds += time.monotonic() - began
        return {
            "step": self.spent.step,
            "seconds": round(self.spent.seconds, 1),
            "learning_rate": self._learning_rate(),
            "gradient": norm,
            **{name: float(one.detach()) for name, one in losses.items()},
        }

    def _clip(self) -> float:
        """Bound the gradients, those of the encoder of F0 apart; return the norm of the others."""
        pitch = self._network.encoder.pitch
        apart = {id(one) for one in pitch.parameters()}
        torch.nn.utils.clip_grad_norm_(pitch.parameters(), 1.0)
        others = [one for one in self._network.parameters() if id(one) not in apart]
        return float(torch.nn.utils.clip_grad_norm_(others, 1.0))

    def _losses(self, piece: Piece, rng: np.random.Generator) -> dict[str, Tensor]:
        """The losses of a batch, without their weights.

        The decoder gets the true F0, which its encoder learns apart from everything else: the
        spectra tell too little of how to change F0.
        """
        decoder = self._network.decoder
        latents, found, parts = self._encoded(piece, rng)
        # what is not known is what the encoder finds, as it is when the codec is used
        log_f0 = torch.where(piece.known, piece.log_f0, found.detach())
        pitch = embed_pitch(log_f0, piece.voiced)
        latents = self._noisy(torch.cat([latents, pitch], dim=-1), rng)
        with self._autocast():
            controls = decoder.controls(latents)
        # what no latent tells is drawn anew: the noise, and where in a period the voice begins
        made = decoder.sound(controls, self._normal(piece.waves.shape, rng), self._phases(rng))
        tuning = 10 * pitch_mean((controls.log_f0 - log_f0).abs(), piece)
        parts["pitch"] = parts["pitch"] + tuning if "pitch" in parts else tuning
        return {**self._loss(made, piece.waves), **parts}

    def _encoded(
        self, piece: Piece, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Encode a batch.

        Returns:
            quantised channels of spectra (B, T, D - 4); log F0 (B, T) as the encoder finds it; and
            the losses of encoder and codebooks, none where the decoder alone learns.
        """
        encoder = self._network.encoder
        with torch.set_grad_enabled(not self.config.decoder_only):
            features = self._network.features(piece.waves)
            with self._autocast():
                latents = encoder.spectra(features)
                scores, voicing = encoder.pitch(features)
            latents, found = latents.float(), encoder.pitch.log_f0(scores)
        if self.config.decoder_only:
            return self._fixed(latents, self._depths(rng)), found, {}
        parts: dict[str, Tensor] = {}
        if self.spent.quantised >= 0:
            used = self._depths(rng)
            self._codebooks.revive(latents, self.spent.step, rng)
            latents, parts["commitment"] = self._codebooks(latents, used)
        parts["pitch"] = class_loss(scores, encoder.pitch.classes, piece) + 10 * pitch_mean(
            (found - piece.log_f0).abs().clamp(max=0.1), piece
        )
        parts["voicing"] = torch.nn.functional.binary_cross_entropy_with_logits(
            voicing, piece.voiced.to(voicing)
        )
        return latents, found, parts

    @torch.no_grad()
    def _fixed(self, latents: Tensor, used: np.ndarray) -> Tensor:
        """Quantise latents (B, T, D - 4) by the first `used` (B,) codebooks, which stay."""
        books = self._network.spectral_codebooks
        codes = quantise(latents, books)
        depth = torch.from_numpy(used).to(latents.device)[:, None, None]
        total = torch.zeros_like(latents)
        for stage, book in enumerate(books):
            total += torch.where(stage < depth, book[codes[..., stage]], 0.0)
        return total

    def _noisy(self, latents: Tensor, rng: np.random.Generator) -> Tensor:
        """Latents (B, T, D) with noise in half of the pieces, but for the first steps."""
        if self.spent.quantised < 0:
            return latents
        share = rng.uniform(0, self.config.latent_noise, self.config.batch)
        share *= rng.random(self.config.batch) < 0.5
        deviation = (
            latents.detach().std(dim=(0, 1)) * torch.from_numpy(share).to(latents)[:, None, None]
        )
        return latents + deviation * self._normal(latents.shape, rng)

    def _phases(self, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rng.random((self.config.batch, 1))).to(self._device)

    def _normal(self, shape: torch.Size, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rng.standard_normal(tuple(shape), np.float32)).to(self._device)

    def _depths(self, rng: np.random.Generator) -> np.ndarray:
        """The number of quantisers for each piece, in falling order: all for half of the pieces."""
        most = len(self._network.spectral_codebooks)
        fewer = rng.integers(1, most + 1, self.config.batch)
        depths = np.where(rng.random(self.config.batch) < 0.5, most, fewer)
        depths[0] = most
        return np.sort(depths)[::-1].copy()

    def _average(self) -> None:
        average(self.averaged, self._network, decay=self.config.ema, step=self.spent.step)
        self.averaged.spectral_codebooks.copy_(self._network.spectral_codebooks)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.split(":")[0], torch.bfloat16, enabled=self._half)

    # -- codebooks -------------------------------------------------------------------------------

    @torch.no_grad()
    def _start_codebooks(self, rng: np.random.Generator) -> None:
        latents = []
        for _ in range(_START_BATCHES):
            latents.append(self._spectra(self._network, self._crops.batch(rng)))
        self._codebooks.start(torch.cat(latents), rng)

    @torch.no_grad()
    def settle(self) -> None:
        """Fit the codebooks to latents of the averaged encoder, with which they will be used."""
        config, crops = self.config, self._crops
        if self.spent.quantised < 0 or config.decoder_only:
            return
        rng = np.random.default_rng([config.seed, 1, 1])
        batches = _SETTLE_FRAMES * config.network.entries / (config.batch * config.frames)
        # a corpus of four times the length gives twice as much
        shares = np.sqrt(crops.seconds) / np.sqrt(crops.seconds).sum()
        groups = []
        for corpus, count in enumerate(np.ceil(batches * shares).astype(int).tolist()):
            latents = [
                self._spectra(self.averaged, crops.batch(rng, natural=1.0, corpus=corpus))
                for _ in range(count)
            ]
            groups.append(torch.cat(latents))
        self._codebooks.settle(groups)
        self.averaged.spectral_codebooks.copy_(self._network.spectral_codebooks)

    @torch.no_grad()
    def _spectra(self, network: MiniNetwork, piece: Piece) -> Tensor:
        """The channels of spectra (B * T, D - 4) of a batch."""
        waves = piece.waves.to(self._device)
        return network.encoder.spectra(network.features(waves)).flatten(0, 1)

    # -- validation ------------------------------------------------------------------------------

    @torch.no_grad()
    def copies(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Validation recordings and the averaged network's copies of them, (S,) each."""
        network, books = self.averaged, self.averaged.codebooks
        for wave in self._validation:
            whole = wave[: len(wave) // HOP_LENGTH * HOP_LENGTH]
            latents = network.encode(whole[None].to(self._device))
            if self.spent.quantised >= 0:
                codes = quantise(latents, books)
                latents = sum(
                    (book[codes[..., q]] for q, book in enumerate(books)),
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


def class_loss(scores: Tensor, classes: Tensor, piece: Piece) -> Tensor:
    """The cross entropy of classes of F0 with those around the true F0.

    Args:
        scores: (B, T, L).
        classes: (L,) the natural logarithm of each class's F0 in Hz.
    """
    width = float(classes[1] - classes[0])
    goal = (-0.5 * ((classes - piece.log_f0[..., None]) / (0.7 * width)).square()).exp()
    goal = goal / goal.sum(-1, keepdim=True).clamp(min=1e-6)
    return pitch_mean(-(goal * scores.log_softmax(-1)).sum(-1), piece)


def pitch_mean(values: Tensor, piece: Piece) -> Tensor:
    """The mean of values (B, T) over frames of known F0; unvoiced ones count a quarter."""
    weights = piece.known.to(values) * torch.where(piece.voiced, 1.0, _UNVOICED)
    return (values * weights).sum() / weights.sum().clamp(min=1)


def _half_precision(device: str) -> bool:
    """Whether bfloat16 is faster on a device: on GPUs, and on CPUs with units for it."""
    return device != "cpu" or torch.cpu._is_amx_tile_supported()
