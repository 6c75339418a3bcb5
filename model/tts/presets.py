"""Named configs of models, from the paper's size to one that a CPU trains in minutes."""

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
    """Return an encoder's config with pre-norm RMSNorm, rotary positions and SiLU."""
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


def _model(
    width: int,
    encoder: EncoderConfig,
    predictor: PredictorConfig,
    wavenet: WaveNetConfig,
    *,
    pitch_kernel: int = 3,
    resampler: ResamplerConfig | None = None,
) -> NS2Config:
    """Return a config in which both encoders and both predictors are alike but for one kernel.

    The resampler has as many heads as the encoders, unless it is given.
    """
    return NS2Config(
        width=width,
        phoneme_encoder=encoder,
        prompt_encoder=encoder,
        duration=predictor,
        pitch=replace(predictor, kernel=pitch_kernel),
        denoiser=DenoiserConfig(
            wavenet=wavenet, resampler=resampler or ResamplerConfig(heads=encoder.heads)
        ),
    )


def paper() -> NS2Config:
    """NaturalSpeech 2 as published: 400 million parameters without the codec."""
    return NS2Config()


def base() -> NS2Config:
    """A model of a hundred million parameters."""
    return _model(
        384,
        _modern(4, 6, 1536, 5, 0.1),
        PredictorConfig(layers=9, heads=6, dropout=0.3),
        WaveNetConfig(layers=20, hidden=384, filter=768, heads=6, dropout=0.1),
        pitch_kernel=5,
    )


def small() -> NS2Config:
    """A model of about fifteen million parameters, for few speakers and little time."""
    return _model(
        192,
        _modern(3, 4, 512, 5, 0.1),
        PredictorConfig(layers=6, heads=4, dropout=0.2),
        WaveNetConfig(layers=12, hidden=192, filter=384, heads=4, dropout=0.05),
        pitch_kernel=5,
    )


def tiny() -> NS2Config:
    """A model of about a million parameters, for tests on a CPU."""
    return _model(
        64,
        _modern(2, 2, 128, 3, 0.0),
        PredictorConfig(layers=3, heads=2, dropout=0.0),
        WaveNetConfig(layers=6, hidden=96, filter=96, heads=2, dropout=0.0),
        resampler=ResamplerConfig(queries=8, heads=2),
    )


def demo() -> NS2Config:
    """A model of five million parameters, which learns to speak on two cores in minutes.

    Utterances stay whole, with another utterance of the speaker as prompt, so every frame is a
    target. Parts that cost more time than they gain in so few steps are left out.
    """
    encoder = _modern(3, 2, 256, 5, 0.0)
    predictor = PredictorConfig(layers=3, heads=2, dropout=0.1)
    wavenet = WaveNetConfig(
        layers=10, hidden=160, filter=160, dilation_cycle=3, heads=2, dropout=0.0
    )
    shared = _model(128, encoder, predictor, wavenet, resampler=ResamplerConfig(queries=8, heads=2))
    return replace(
        shared,
        prompt_encoder=replace(encoder, layers=1, kernel=3),
        pitch=replace(predictor, dropout=0.0),
        denoiser=replace(shared.denoiser, self_condition=False),
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
    """A model like `naturalspeech2-pytorch`: growing dilations, and a Transformer behind.

    Convolutional stems, ResNet blocks in the predictors, the sigmoid schedule and min-SNR.
    """
    shared = _model(
        256,
        EncoderConfig(
            layers=6, inner=1024, kernel=3, stem=2, norm="rms", pre_norm=True, activation="gelu"
        ),
        PredictorConfig(layers=6, block="resnet", norm="rms", dropout=0.1),
        WaveNetConfig(layers=16, hidden=256, filter=256, dilation=1, dilation_cycle=8, dropout=0.1),
        resampler=ResamplerConfig(layers=2, expansion=4),
    )
    return replace(
        shared,
        denoiser=replace(shared.denoiser, transformer=TransformerConfig(depth=6)),
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
    """Return the config of a preset.

    Raises:
        ValueError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; choose one of: {', '.join(PRESETS)}")
    return PRESETS[name]()
