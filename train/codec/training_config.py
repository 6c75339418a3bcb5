"""The settings of a codec's training; loads no torch, so that a command can show them.

The text below a field is the help text of its option, and each default stands here and nowhere
else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ns2.model.codec.mini.mini_config import MiniConfig


@dataclass(frozen=True, kw_only=True)
class CodecTraining:
    """The settings of a codec's training."""

    network: MiniConfig = field(default_factory=MiniConfig)
    """The sizes of the codec's network."""

    steps: int = 12_000
    """The number of training steps; the learning rate's schedule follows from it."""

    decoder_only: bool = False
    """Only the decoder learns. The codec's codes then stay what they are, and datasets of it need
    not be made again."""

    minutes: float | None = None
    """The time to train for, in minutes, instead of --steps; the result then depends on the
    machine's speed."""

    batch: int = 12
    """The batch size: the number of pieces of recordings in a step."""

    frames: int = 64
    """The length of a piece, in frames."""

    learning_rate: float = 1e-3
    """The highest learning rate: it rises at first, holds, and then falls to a hundredth."""

    warmup: int = 200
    """The number of steps in which the learning rate rises."""

    hold: float = 0.5
    """The share of the training after which the learning rate falls."""

    natural: float = 0.8
    """The share of the training after which no piece is augmented; from `hold` on ever fewer are.
    Codebooks settle then, and an entry for noise and strange voices is lost to speech."""

    plain_steps: int = 400
    """The number of steps before there is a quantiser, at most a tenth of all."""

    mel: float = 1.0
    """The weight of the loss on log-mel spectra, see `SpectralLoss`."""

    magnitude: float = 0.5
    """The weight of the loss on log magnitudes, see `SpectralLoss`."""

    envelope: float = 1.0
    """The weight of the loss on the envelopes of bands, see `SpectralLoss`."""

    loud: float = 0.0
    """The weight of the loss on loudness, see `SpectralLoss`."""

    pitch: float = 1.0
    """The weight of the losses on F0, in the encoder and in the decoder."""

    voicing: float = 0.5
    """The weight of the losses on voicing, in the encoder and in the decoder."""

    commitment: float = 0.25
    """The weight of the quantiser's commitment loss."""

    latent_noise: float = 0.15
    """The most noise that is added to latents before they are decoded, as a share of their
    deviation, in half of the pieces: models leave noise in the latents that they sample."""

    ema: float = 0.999
    """The decay of the averaged weights (EMA), which are the result."""

    layout: str | None = None
    """The layout of the corpora, such as ljspeech; without it the layout is recognised."""

    fields: str | None = None
    """Which columns of the corpora's tables hold what, as in id=1,text=2; without it they are taken
    by their names, or by the tables as a whole."""

    harvest_minutes: float = 6.0
    """The minutes of recordings, the same of each corpus, whose F0 Harvest extracts; that takes
    half as long. F0 of the others is extracted by DIO."""

    val_share: float = 0.03
    """The share of each corpus's recordings that are validated and not trained on."""

    validate_every: int = 500
    """The number of steps between two validations."""

    checkpoint_seconds: float = 60.0
    """The time between two checkpoints, in seconds."""

    seed: int = 0
    """The seed of the weights and of all random numbers."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.frames < 8:
            raise ValueError(f"steps and batch must be at least 1, frames at least 8: {self}")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes must be above 0, got {self.minutes}")
        if not (0 < self.val_share < 1 and 0 <= self.hold < self.natural <= 1):
            raise ValueError("val_share must lie in (0, 1), and 0 <= hold < natural <= 1")
