"""Models that have a name: from the paper's to one that a CPU trains in minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ns2.model.blocks.encoder import EncoderConfig
from ns2.model.blocks.resampler import ResamplerConfig
from ns2.model.blocks.transformer import TransformerConfig
from ns2.model.blocks.wavenet import WaveNetConfig
from ns2.model.diffusion.schedules import ScheduleConfig
from ns2.model.tts.denoiser import DenoiserConfig
from ns2.model.tts.ns2_config import DiffusionConfig, LossWeights, NS2Config
from ns2.model.tts.predictors import PredictorConfig
from ns2.model.tts.prompts import PromptConfig


def _modern(layers: int, heads: int, inner: int, kernel: int, dropout: float) -> EncoderConfig:
    """Norms in front, rotary positions and SiLU."""
    return EncoderConfig(
        layers=layers,
        heads=heads,
        inner=inner,
        kernel=kernel,
        dropout=dropout,
        norm="rms",
        pre_norm=True,
        positions="rotary",
        activation="silu",
    )


def paper() -> NS2Config:
    """NaturalSpeech 2 as published: 400 million parameters without the codec."""
    return NS2Config()


def base() -> NS2Config:
    """A hundred million parameters."""
    encoder = _modern(4, 6, 1536, 5, 0.1)
    return NS2Config(
        width=384,
        phoneme_encoder=encoder,
        prompt_encoder=encoder,
        duration=PredictorConfig(layers=9, heads=6, dropout=0.3),
        pitch=PredictorConfig(layers=9, kernel=5, heads=6, dropout=0.3),
        denoiser=DenoiserConfig(
            wavenet=WaveNetConfig(layers=20, hidden=384, filter=768, heads=6, dropout=0.1),
            resampler=ResamplerConfig(heads=6),
        ),
    )


def small() -> NS2Config:
    """About fifteen million parameters, for one speaker or few, and little time."""
    encoder = _modern(3, 4, 512, 5, 0.1)
    return NS2Config(
        width=192,
        phoneme_encoder=encoder,
        prompt_encoder=encoder,
        duration=PredictorConfig(layers=6, heads=4, dropout=0.2),
        pitch=PredictorConfig(layers=6, kernel=5, heads=4, dropout=0.2),
        denoiser=DenoiserConfig(
            wavenet=WaveNetConfig(layers=12, hidden=192, filter=384, heads=4, dropout=0.05),
            resampler=ResamplerConfig(heads=4),
        ),
    )


def tiny() -> NS2Config:
    """About a million parameters: for tests, on a CPU."""
    encoder = _modern(2, 2, 128, 3, 0.0)
    return NS2Config(
        width=64,
        phoneme_encoder=encoder,
        prompt_encoder=encoder,
        duration=PredictorConfig(layers=3, heads=2, dropout=0.0),
        pitch=PredictorConfig(layers=3, heads=2, dropout=0.0),
        denoiser=DenoiserConfig(
            wavenet=WaveNetConfig(layers=6, hidden=96, filter=96, heads=2, dropout=0.0),
            resampler=ResamplerConfig(queries=8, heads=2),
        ),
    )


def demo() -> NS2Config:
    """Five million parameters, that two cores teach to speak in minutes.

    Utterances stay whole, with another one of the speaker as prompt: no frame goes unlearned. What
    costs a step more than it gives in so few of them is left out.
    """
    encoder = _modern(3, 2, 256, 5, 0.0)
    return NS2Config(
        width=128,
        phoneme_encoder=encoder,
        prompt_encoder=replace(encoder, layers=1, kernel=3),
        duration=PredictorConfig(layers=3, heads=2, dropout=0.1),
        pitch=PredictorConfig(layers=3, heads=2, dropout=0.0),
        denoiser=DenoiserConfig(
            wavenet=WaveNetConfig(
                layers=10, hidden=160, filter=160, dilation_cycle=3, heads=2, dropout=0.0
            ),
            resampler=ResamplerConfig(queries=8, heads=2),
            self_condition=False,
        ),
        diffusion=DiffusionConfig(
            schedule=ScheduleConfig(kind="cosine"),
            latents="whitened",
            self_condition=0.0,
            drop_prompt=0.05,
            drop_content=0.05,
        ),
        losses=LossWeights(ce_rvq=0.0),
        prompt=PromptConfig(whole_below=100_000, longest=100),
    )


def seed() -> NS2Config:
    """Of the kind of `naturalspeech2-pytorch`: dilations that grow, and a Transformer behind.

    Convolutional stems, ResNet blocks in the predictors, the sigmoid schedule and min-SNR.
    """
    encoder = EncoderConfig(
        layers=6, inner=1024, kernel=3, stem=2, norm="rms", pre_norm=True, activation="gelu"
    )
    return NS2Config(
        width=256,
        phoneme_encoder=encoder,
        prompt_encoder=encoder,
        duration=PredictorConfig(layers=6, block="resnet", norm="rms", dropout=0.1),
        pitch=PredictorConfig(layers=6, block="resnet", norm="rms", dropout=0.1),
        denoiser=DenoiserConfig(
            wavenet=WaveNetConfig(
                layers=16, hidden=256, filter=256, dilation=1, dilation_cycle=8, dropout=0.1
            ),
            resampler=ResamplerConfig(layers=2, expansion=4),
            transformer=TransformerConfig(depth=6),
        ),
        diffusion=DiffusionConfig(
            schedule=ScheduleConfig(kind="sigmoid"), objective="v", min_snr=5.0
        ),
    )


PRESETS: dict[str, Callable[[], NS2Config]] = {
    "paper": paper,
    "base": base,
    "small": small,
    "tiny": tiny,
    "demo": demo,
    "seed": seed,
}


def preset(name: str) -> NS2Config:
    """A preset's config by name.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; choose one of: {', '.join(PRESETS)}")
    return PRESETS[name]()
