"""Everything that can be chosen about a NaturalSpeech 2 model.

Configs are frozen; each stands beside what it configures, here they come together. `sizes` that a
dataset decides (its codec, its phonemes) are apart, so that one config fits any dataset.
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
    """How the denoiser learns.

    Attributes:
        schedule: how much noise at what time.
        objective: what the network predicts: "x0", "eps" or "v".
        latents: how they are normalised: each of the "channels" for itself, or "whitened", which
            also takes out what channels have in common. What little of the energy holds phases is
            then seen above the noise sooner.
        min_snr: gamma of min-SNR weighting (Hang et al. 2023, arXiv:2303.09556); 0 for none.
        score_clip: largest weight of the score term, alpha^2 / sigma^4 without it.
        ce_quantizers: the cross-entropy of one random quantiser an utterance, or of all.
        self_condition: share of steps that see an earlier estimate.
        drop_prompt: share of utterances that learn without their prompt.
        drop_content: share of utterances whose denoiser learns without text and pitch.
    """

    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    objective: Objective = "x0"
    latents: Scaling = "channels"
    min_snr: float = 0.0
    score_clip: float = 5.0
    ce_quantizers: Quantizers = "random"
    self_condition: float = 0.5
    drop_prompt: float = 0.1
    drop_content: float = 0.1

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective is one of {', '.join(OBJECTIVES)}, got {self.objective!r}")
        if self.latents not in ("channels", "whitened"):
            raise ValueError(f"latents are channels or whitened, got {self.latents!r}")
        if self.ce_quantizers not in ("random", "all"):
            raise ValueError(f"ce_quantizers is random or all, got {self.ce_quantizers!r}")
        shares = (self.self_condition, self.drop_prompt, self.drop_content)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"shares lie between 0 and 1: {self}")
        if self.min_snr < 0 or self.score_clip < 0:
            raise ValueError(f"min_snr and score_clip can't be negative: {self}")


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """What each named loss counts for in the total."""

    diffusion: float = 1.0
    score: float = 1.0
    ce_rvq: float = 0.1
    duration: float = 1.0
    pitch: float = 1.0
    voicing: float = 1.0


@dataclass(frozen=True, kw_only=True)
class NS2Config:
    """A NaturalSpeech 2 model, whatever dataset it learns from; the defaults are the paper's.

    Attributes:
        width: of the states of phonemes and prompt, and of both predictors.
        conditional: False for a model of latents alone, without text, pitch or prompt.
        phoneme_encoder, prompt_encoder: see there.
        duration, pitch: the predictors.
        pitch_bins: how pitch enters the denoiser.
        denoiser, diffusion: see there.
        losses: weights of the named losses.
        prompt: how prompts are cut in training.
    """

    width: int = 512
    conditional: bool = True
    phoneme_encoder: EncoderConfig = field(default_factory=EncoderConfig)
    prompt_encoder: EncoderConfig = field(default_factory=EncoderConfig)
    duration: PredictorConfig = field(default_factory=PredictorConfig)
    pitch: PredictorConfig = field(default_factory=lambda: PredictorConfig(kernel=5))
    pitch_bins: PitchBins = field(default_factory=PitchBins)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    prompt: PromptConfig = field(default_factory=PromptConfig)

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
            raise ValueError(f"a width of {self.width} can't be split among {max(heads)} heads")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a dataset decides of a model.

    Attributes:
        latent_dim: D, of the codec's latents.
        quantizers: Q.
        entries: E, of each codebook.
        phonemes: ids of the phoneme table.
        phones: distinct phones among them, stress aside; specials and marks count.
        frame_rate: frames a second.
    """

    latent_dim: int = 128
    quantizers: int = 16
    entries: int = 1024
    phonemes: int = 512
    phones: int = 180
    frame_rate: float = 75.0

    def __post_init__(self) -> None:
        if min(self.latent_dim, self.quantizers, self.entries, self.phonemes, self.phones) < 1:
            raise ValueError(f"all sizes have to be at least 1: {self}")
