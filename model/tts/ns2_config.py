"""The configuration of a NaturalSpeech 2 model.

Configs are frozen; each is defined beside what it configures, and here they are combined. `Sizes`,
which the dataset decides (its codec and its phonemes), are separate, so that one config fits any
dataset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ns2.model.blocks.encoder import EncoderConfig
from ns2.model.diffusion.objectives import OBJECTIVES, Objective
from ns2.model.diffusion.schedules import ScheduleConfig
from ns2.model.tts.denoiser import DenoiserConfig
from ns2.model.tts.pitch_bins import PitchBins
from ns2.model.tts.predictors import PredictorConfig
from ns2.model.tts.prompts import PromptConfig

Quantizers = Literal["random", "all"]
Scaling = Literal["channels", "whitened"]


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """How the denoiser is trained."""

    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """The noise schedule."""

    objective: Objective = "x0"
    """What the network predicts: "x0", "eps" or "v"."""

    latents: Scaling = "channels"
    """How latents are normalised: each of the "channels" by itself, or "whitened", which also
    removes the correlation of channels. The small part of the energy that holds phases is then
    learned sooner."""

    min_snr: float = 0.0
    """The gamma of min-SNR weighting (Hang et al. 2023, arXiv:2303.09556); 0 turns it off."""

    score_clip: float = 5.0
    """The largest weight of the score loss, which unclipped would be alpha^2 / sigma^4."""

    ce_quantizers: Quantizers = "random"
    """Whether the cross-entropy of one random quantiser per utterance or that of all quantisers
    is taken: "random" or "all"."""

    self_condition: float = 0.5
    """The share of steps in which the denoiser sees an earlier estimate."""

    drop_prompt: float = 0.1
    """The share of utterances that learn without their prompt (for classifier-free guidance)."""

    drop_content: float = 0.1
    """The share of utterances whose denoiser learns without phonemes and pitch (for
    classifier-free guidance)."""

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(
                f"objective must be one of {', '.join(OBJECTIVES)}, got {self.objective!r}"
            )
        if self.latents not in ("channels", "whitened"):
            raise ValueError(f"latents must be channels or whitened, got {self.latents!r}")
        if self.ce_quantizers not in ("random", "all"):
            raise ValueError(f"ce_quantizers must be random or all, got {self.ce_quantizers!r}")
        shares = (self.self_condition, self.drop_prompt, self.drop_content)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(
                f"self_condition, drop_prompt and drop_content must lie within 0 and 1: {self}"
            )
        if self.min_snr < 0 or self.score_clip < 0:
            raise ValueError(f"min_snr and score_clip must be at least 0: {self}")


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """The weight of each named loss in the total."""

    diffusion: float = 1.0
    """The weight of the denoiser's squared error."""

    score: float = 1.0
    """The weight of the squared error of x0, weighted as the score's."""

    ce_rvq: float = 0.1
    """The weight of the residual quantiser's cross-entropy; 0 leaves it out."""

    duration: float = 1.0
    """The weight of the duration predictor's error."""

    pitch: float = 1.0
    """The weight of the pitch predictor's error of log F0."""

    voicing: float = 1.0
    """The weight of the pitch predictor's cross-entropy of voicing."""


@dataclass(frozen=True, kw_only=True)
class NS2Config:
    """A NaturalSpeech 2 model, whatever dataset it is trained on; the defaults are the paper's."""

    width: int = 512
    """The width of the states of phonemes and prompt, and of both predictors."""

    conditional: bool = True
    """Whether the model is conditioned on text, pitch and prompt; false gives a model of latents
    alone."""

    phoneme_encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The encoder of phonemes."""

    prompt_encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The encoder of the speech prompt."""

    duration: PredictorConfig = field(default_factory=PredictorConfig)
    """The duration predictor."""

    pitch: PredictorConfig = field(default_factory=lambda: PredictorConfig(kernel=5))
    """The pitch predictor."""

    pitch_bins: PitchBins = field(default_factory=PitchBins)
    """The quantiser through which pitch enters the denoiser."""

    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    """The denoiser."""

    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """How the denoiser is trained."""

    losses: LossWeights = field(default_factory=LossWeights)
    """The weights of the named losses."""

    prompt: PromptConfig = field(default_factory=PromptConfig)
    """How prompts are cut in training."""

    def __post_init__(self) -> None:
        if self.diffusion.self_condition and not self.denoiser.self_condition:
            raise ValueError(
                "diffusion.self_condition needs denoiser.self_condition; set the first to 0 "
                "or the second to true"
            )
        heads = (
            self.phoneme_encoder.heads,
            self.prompt_encoder.heads,
            self.duration.heads,
            self.pitch.heads,
        )
        if any(self.width % h for h in heads):
            raise ValueError(f"a width of {self.width} can't be split into {max(heads)} heads")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of a model that a dataset decides."""

    latent_dim: int = 128
    """D, the width of the codec's latents."""

    quantizers: int = 16
    """Q, the number of quantisers."""

    entries: int = 1024
    """E, the number of entries of each codebook."""

    phonemes: int = 512
    """V, the number of ids of the phoneme table."""

    phones: int = 180
    """The number of distinct phones among them, stress aside; special symbols and punctuation
    count."""

    frame_rate: float = 75.0
    """Frames per second."""

    def __post_init__(self) -> None:
        if min(self.latent_dim, self.quantizers, self.entries, self.phonemes, self.phones) < 1:
            raise ValueError(f"all sizes of a model must be at least 1: {self}")
