"""Training of a `mini` codec: `ns2 codec train`.

Beside CODEC.safetensors, `CODEC.training/` holds `checkpoint.pt`, from which the training goes
on, `log.jsonl` and `samples/`. A run that was stopped and resumed ends with the same weights as
one that was not, on the same machine with the same number of threads: all random numbers follow
from the seed and the step.

Letters for shapes: B batch, S samples, T frames, D latent width.
"""

from __future__ import annotations

import copy
import io
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ns2.model.codec.interface import CodecError
from ns2.model.codec.mini.codebooks import CodebookTrainer, start_from
from ns2.model.codec.mini.codec import load_network, pack_mini
from ns2.model.codec.mini.losses import SpectralLoss
from ns2.model.codec.mini.mini_config import HOP_LENGTH, SAMPLE_RATE, MiniConfig
from ns2.model.codec.mini.network import MiniNetwork, quantise
from ns2.model.codec.registry import codec_file
from ns2.model.log_mel import LogMel
from ns2.pipeline.core.atomic import atomic_write, write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.train.codec.crops import Crops, Voices, read_voices

VERSION = 3
_START_BATCHES = 16
"""Batches whose latents begin the codebooks."""
_SETTLE_FRAMES = 60
"""Frames an entry to which the codebooks are fitted in the end."""
_LOG_EVERY = 50
_VALIDATION_SECONDS = 60.0
_SAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class CodecTraining:
    """How a codec is trained.

    Attributes:
        network: its sizes.
        steps: in all; the schedule follows from them.
        minutes: the same as time spent training, or None; then `steps` counts for nothing, and
            the result depends on the machine's speed.
        batch: B, pieces a step.
        frames: of a piece.
        learning_rate: its highest; it rises at first, holds, and then falls to nothing.
        warmup: steps in which it rises.
        hold: share of the training after which it falls.
        natural: share of the training after which no piece is varied; from `hold` on ever fewer
            are. Codebooks settle then, and should be made for speech as it is: entries for
            noise and strange voices are entries that speech does not use.
        plain_steps: steps before there is a quantiser, at most a tenth of all.
        mel, magnitude, complex, commitment: weights of the losses, see `SpectralLoss`.
        ema: decay of the running mean of all weights, which is the result.
        layout: of the corpora, or None to recognise it.
        val_share: of each corpus's recordings, which are not trained on.
        validate_every: steps.
        checkpoint_seconds: between two checkpoints.
        seed: of everything random.
    """

    network: MiniConfig = field(default_factory=MiniConfig)
    steps: int = 12_000
    minutes: float | None = None
    batch: int = 12
    frames: int = 64
    learning_rate: float = 1e-3
    warmup: int = 200
    hold: float = 0.5
    natural: float = 0.8
    plain_steps: int = 400
    mel: float = 1.0
    magnitude: float = 0.5
    complex: float = 0.3
    commitment: float = 0.25
    ema: float = 0.999
    layout: str | None = None
    val_share: float = 0.03
    validate_every: int = 500
    checkpoint_seconds: float = 60.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.frames < 8:
            raise ValueError(f"steps and batch must be at least 1, frames at least 8: {self}")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes must be above 0, got {self.minutes}")
        if not (0 < self.val_share < 1 and 0 <= self.hold < self.natural <= 1):
            raise ValueError("val_share must lie in (0, 1), and 0 <= hold < natural <= 1")

    @classmethod
    def sized(cls, network: MiniConfig, *, steps: int | None = None, **more: Any) -> CodecTraining:
        """Of a codec of these sizes; `steps` None for the default."""
        if steps is not None:
            more["steps"] = steps
        return cls(network=network, **more)


@dataclass
class _Spent:
    """How far a training is, and the step at which the quantisers began; -1 before that."""

    step: int = 0
    seconds: float = 0.0
    quantised: int = -1


def train_codec(
    corpora: Sequence[Path],
    out: Path,
    config: CodecTraining,
    progress: Progress,
    *,
    device: str = "cpu",
    init: MiniNetwork | None = None,
    resume: bool = False,
) -> float:
    """Train a codec on all recordings of some corpora and write it.

    Args:
        out: the file to write; `out` without its suffix, and `.training`, is the folder beside.
        init: weights to begin with, of a network of the same sizes, see `start_from`.
        resume: go on from the checkpoint there.

    Returns:
        the validation figure, see `Trainer.validate`.

    Raises:
        UserError: a corpus or the device can't be used, or there is a checkpoint and `resume` is
            not set, or none and it is.
    """
    folder = out.with_suffix(".training")
    checkpoint = folder / "checkpoint.pt"
    if resume != checkpoint.is_file():
        raise UserError(
            f"{checkpoint} does not exist: leave out --resume to begin anew"
            if resume
            else f"{folder} holds a training that was begun: add --resume to go on, or delete it"
        )
    voices = read_voices(
        corpora,
        layout=config.layout,
        sample_rate=SAMPLE_RATE,
        val_share=config.val_share,
        progress=progress,
    )
    try:
        trainer = Trainer(config, voices, device, init)
    except (RuntimeError, AssertionError) as error:  # the latter where torch has no CUDA at all
        raise UserError(f"torch can't use the device {device!r}: {error}; try cpu") from error
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    if resume:
        trainer.load(torch.load(checkpoint, map_location=device, weights_only=True))
    _run(trainer, folder, progress)
    with atomic_write(out) as file:
        file.write(pack_mini(trainer.averaged))
    return trainer.validate()


def _run(trainer: Trainer, folder: Path, progress: Progress) -> None:
    """Steps to the end, with validation, log, samples and checkpoints."""
    config = trainer.config
    progress.phase("training", config.steps, unit="steps")
    saved = time.monotonic()
    log = _log_until(folder / "log.jsonl", trainer.spent.step)
    with log.open("a", encoding="utf-8") as lines:
        if trainer.spent.step == 0:
            first = trainer.validate()
            progress.note(f"step 0: log-mel distance {first:.3f}")
            lines.write(json.dumps({"step": 0, "validation": first}) + "\n")
        while trainer.share < 1:
            row = trainer.step()
            done, ends = trainer.spent.step, trainer.share >= 1
            progress.training(done, trainer.steps_expected(), row["mel"])
            if ends:
                trainer.settle()
            validates = ends or done % config.validate_every == 0
            if validates:
                row["validation"] = trainer.validate()
                progress.note(f"step {done}: log-mel distance {row['validation']:.3f}")
                _write_samples(trainer, folder / "samples")
            if validates or done % _LOG_EVERY == 0:
                lines.write(json.dumps(row) + "\n")
                lines.flush()
            if ends or time.monotonic() - saved >= config.checkpoint_seconds:
                _save(trainer, folder)
                saved = time.monotonic()


def _log_until(path: Path, step: int) -> Path:
    """The log without rows behind the checkpoint, which come again."""
    if path.is_file():
        rows = [line for line in path.read_text("utf-8").splitlines() if line.endswith("}")]
        kept = [line + "\n" for line in rows if json.loads(line)["step"] <= step]
        write_if_changed(path, "".join(kept).encode())
    return path


def _save(trainer: Trainer, folder: Path) -> None:
    buffer = io.BytesIO()
    torch.save(trainer.state(), buffer)
    with atomic_write(folder / "checkpoint.pt") as file:
        file.write(buffer.getbuffer())


def _write_samples(trainer: Trainer, folder: Path) -> None:
    """Validation recordings and what the codec makes of them."""
    import soundfile

    for number, (wave, made) in enumerate(trainer.copies()):
        if number == _SAMPLES:
            break
        soundfile.write(folder / f"{number}-recording.wav", wave.numpy(), SAMPLE_RATE)
        soundfile.write(folder / f"{number}-codec.wav", made.clamp(-1, 1).numpy(), SAMPLE_RATE)


class Trainer:
    """A network while it learns: one step after another, and its state between them."""

    def __init__(
        self,
        config: CodecTraining,
        voices: Voices,
        device: str = "cpu",
        init: MiniNetwork | None = None,
    ) -> None:
        self.config, self.spent, self._device = config, _Spent(), device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self._network = MiniNetwork(config.network)
        if init is not None:
            start_from(self._network, init)
            self.spent.quantised = 0
        self._network.to(device)
        self.averaged = copy.deepcopy(self._network).eval().requires_grad_(False)
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

    @property
    def share(self) -> float:
        """How much of the training is done, 0 to 1."""
        if self.config.minutes is not None:
            return min(1.0, self.spent.seconds / (60 * self.config.minutes))
        return min(1.0, self.spent.step / self.config.steps)

    def steps_expected(self) -> int:
        """Steps in all, as far as can be told."""
        if self.config.minutes is None:
            return self.config.steps
        return max(self.spent.step, round(self.spent.step / max(self.share, 1e-6)))

    def step(self) -> dict[str, Any]:
        """One step; returns the row of the log."""
        began = time.monotonic()
        number = self.spent.step
        rng = self._crops.rng(number)
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate()
        waves = self._crops.batch(rng, self._natural()).to(self._device)
        if self.spent.quantised < 0 and self._has_plain_steps():
            self._start_codebooks(rng)
            self.spent.quantised = number
        parts = self._losses(waves, rng)
        loss = sum((getattr(self.config, name) * part for name, part in parts.items()), start=0.0)
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
            **{name: float(part.detach()) for name, part in parts.items()},
        }

    def _has_plain_steps(self) -> bool:
        """Whether the steps without a quantiser are done: a tenth of all at most."""
        plain, step = self.config.plain_steps, self.spent.step
        if self.config.minutes is not None:
            return step >= plain or self.share >= 0.1
        return step >= min(plain, self.config.steps // 10)

    def _losses(self, waves: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
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
        """Quantisers used by each piece, in falling order: all in half of the pieces."""
        most = self.config.network.quantizers
        some = rng.integers(1, most + 1, self.config.batch)
        depths = np.where(rng.random(self.config.batch) < 0.5, most, some)
        depths[0] = most
        return np.sort(depths)[::-1].copy()

    @torch.no_grad()
    def _start_codebooks(self, rng: np.random.Generator) -> None:
        latents = []
        for _ in range(_START_BATCHES):
            waves = self._crops.batch(rng).to(self._device)
            latents.append(self._network.encode(waves).flatten(0, 1))
        self._codebooks.start(torch.cat(latents), rng)

    @torch.no_grad()
    def settle(self) -> None:
        """Fit the codebooks to what the averaged encoder makes, with which they will be used."""
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

    def _natural(self) -> float:
        """Share of pieces that are not varied."""
        config = self.config
        return float(np.clip((self.share - config.hold) / (config.natural - config.hold), 0, 1))

    def _learning_rate(self) -> float:
        config = self.config
        rise = min(1.0, (self.spent.step + 1) / config.warmup)
        late = max(0.0, (self.share - config.hold) / (1 - config.hold))
        return config.learning_rate * rise * max(0.01, (1 + math.cos(math.pi * late)) / 2)

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema, (1 + self.spent.step) / (10 + self.spent.step))
        for mean, weight in zip(
            self.averaged.parameters(), self._network.parameters(), strict=True
        ):
            mean.lerp_(weight, 1 - decay)
        self.averaged.codebooks.copy_(self._network.codebooks)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self._device.split(":")[0], torch.bfloat16, enabled=self._half)

    @torch.no_grad()
    def copies(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Validation recordings and what the averaged network makes of them, (S,) each."""
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
        """Mean distance of log-mels over the validation recordings, a minute of them."""
        mel, distances, seconds = LogMel(), [], 0.0
        for wave, made in self.copies():
            distances.append(float((mel(made) - mel(wave)).abs().mean()))
            seconds += len(wave) / SAMPLE_RATE
            if seconds > _VALIDATION_SECONDS:
                break
        return float(np.mean(distances))

    def state(self) -> dict[str, Any]:
        """All that `load` needs to go on as if nothing had happened."""
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
        """Go on from a state.

        Raises:
            UserError: it is of a network of other sizes, or of another version.
        """
        if state.get("version") != VERSION:
            raise UserError("the checkpoint is of another version of ns2; begin anew")
        saved = json.loads(state["config"])
        if saved["network"] != asdict(self.config.network):
            raise UserError("the checkpoint is of a codec of other sizes; resume with the same")
        self.spent = _Spent(state["step"], state["seconds"], state["quantised"])
        self._network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self._codebooks.load(state["codebooks"])
        self._optimizer.load_state_dict(state["optimizer"])


def _half_precision(device: str) -> bool:
    """Whether bfloat16 is faster there: on GPUs, and CPUs with units for it."""
    return device != "cpu" or torch.cpu._is_amx_tile_supported()


def initial_network(name: str, quantizers: int | None) -> MiniNetwork:
    """The network of a codec to begin with, by its name or file.

    Raises:
        UserError: there is no such codec, it is EnCodec, or it has another number of quantisers.
    """
    try:
        path = codec_file(name)
        if path is None:
            raise UserError(f"--init takes mini or a file of `ns2 codec train`, not {name}")
        network = load_network(path)
    except CodecError as error:
        raise UserError(str(error)) from error
    if quantizers not in (None, network.config.quantizers):
        raise UserError(
            f"{name} has {network.config.quantizers} quantizers: leave out --quantizers or --init"
        )
    return network


def network_sizes(init: MiniNetwork | None, quantizers: int | None) -> MiniConfig:
    """Sizes of the network to train: those of `init`, if any, with the newest form of its head."""
    if init is not None:
        return replace(init.config, direct_bins=MiniConfig.direct_bins)
    return MiniConfig(quantizers=quantizers or MiniConfig.quantizers)
