"""Random utterances, batches of them, and small models, for all tests of the model.

What an utterance says is chance, but its columns belong together as in a dataset: durations sum to
the number of codes' frames, silences and word borders among the phonemes, F0 that is 0 where
unvoiced. The latents of its codes have neither mean 0 nor deviation 1; the model's statistics
are those of its codebooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ns2.model.blocks.encoder import EncoderConfig
from ns2.model.tts.batch import Batch, Example, collate
from ns2.model.tts.draws import Draws
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.ns2_config import NS2Config, Sizes
from ns2.model.tts.presets import preset
from ns2.model.tts.prompts import PromptConfig

SIZES = Sizes(latent_dim=16, quantizers=4, entries=64, phonemes=50, phones=30)
"""Of a small codec and a small phoneme table."""

MARKS = 5
"""The first phoneme ids are no phones: padding (0), silence, word border, other marks."""

PROMPTS = PromptConfig(shortest=10, longest=30, whole_below=20)
"""Prompts as short as the utterances here."""


def border(sizes: Sizes = SIZES) -> np.ndarray:
    """Of every phoneme id, whether it is no phone."""
    return np.arange(sizes.phonemes) < MARKS


def make_example(
    frames: int = 60,
    tokens: int = 12,
    *,
    seed: int = 0,
    other: int = 0,
    zeros: int = 0,
    sizes: Sizes = SIZES,
) -> Example:
    """An utterance.

    Args:
        frames, tokens: its length.
        seed: what it says, and its own `seed`.
        other: frames of another utterance of the speaker; 0 for none.
        zeros: how many tokens (borders and marks, as in a dataset) last 0 frames.
        sizes: of the codec and the phoneme table.
    """
    rng = np.random.default_rng(seed)
    phonemes = rng.integers(MARKS, sizes.phonemes, tokens)
    # a mark between words, but never first: what lasts 0 frames has a neighbour that lasts
    phonemes[2::4] = rng.integers(1, MARKS, len(phonemes[2::4]))
    lasting = np.ones(tokens, bool)
    lasting[2 : 2 + 4 * zeros : 4] = False
    durations = np.zeros(tokens, np.int64)
    count = int(lasting.sum())
    durations[lasting] = 1 + rng.multinomial(frames - count, np.full(count, 1 / count))
    voiced = rng.random(frames) < 0.6
    return Example(
        codes=_codes(rng, frames, sizes),
        phonemes=phonemes,
        durations=durations,
        f0=np.where(voiced, rng.uniform(80, 300, frames), 0).astype(np.float32),
        seed=seed,
        other=_codes(rng, other, sizes) if other else None,
    )


def _codes(rng: np.random.Generator, frames: int, sizes: Sizes) -> np.ndarray:
    return rng.integers(0, sizes.entries, (sizes.quantizers, frames))


def make_examples(sizes: Sizes = SIZES) -> list[Example]:
    """Four utterances: two that give their own prompt, one with another's, one without any."""
    return [
        make_example(60, 12, seed=1, zeros=1, sizes=sizes),
        make_example(45, 9, seed=2, sizes=sizes),
        make_example(17, 5, seed=3, other=25, sizes=sizes),
        make_example(12, 4, seed=4, sizes=sizes),
    ]


def make_batch(
    of: Sequence[Example] | None = None,
    *,
    frame_multiple: int = 1,
    token_multiple: int = 1,
    prompt_multiple: int = 1,
    sizes: Sizes = SIZES,
) -> Batch:
    """A batch of these utterances, or of `make_examples`, with prompts as short as they are."""
    return collate(
        make_examples(sizes) if of is None else of,
        border(sizes),
        PROMPTS,
        frame_multiple=frame_multiple,
        token_multiple=token_multiple,
        prompt_multiple=prompt_multiple,
    )


def make_codebooks(sizes: Sizes = SIZES, seed: int = 0) -> Tensor:
    """Codebooks (Q, E, D), each half as large as the one before, away from the origin."""
    generator = torch.Generator().manual_seed(seed)
    shape = (sizes.quantizers, sizes.entries, sizes.latent_dim)
    scales = 3 * 0.5 ** torch.arange(sizes.quantizers)
    return (torch.randn(shape, generator=generator) + 0.5) * scales[:, None, None]


def make_model(
    config: NS2Config | str = "tiny", *, sizes: Sizes = SIZES, seed: int = 0, training: bool = True
) -> NS2:
    """A fresh model of a config or a preset of that name, fitted to random codebooks.

    Its latents are normalised by the codebooks' own statistics, which are those of the latents
    of codes drawn evenly. Phones and stresses of the phonemes repeat in cycles.

    Args:
        seed: of the weights and codebooks.
        training: False for one without dropout.
    """
    config = preset(config) if isinstance(config, str) else config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = NS2(config, sizes)
    books = make_codebooks(sizes, seed)
    ids = torch.arange(sizes.phonemes)
    covariance = sum(torch.cov(book.T, correction=0) for book in books)
    scale = torch.diagonal(covariance).sqrt()
    made.fit_to(
        codebooks=books,
        latent_mean=books.mean(1).sum(0),
        latent_std=books.var(1, correction=0).sum(0).sqrt(),
        latent_correlation=covariance / scale / scale[:, None],
        phone_of=ids % sizes.phones,
        stress_of=ids % 3,
    )
    return made.train(training)


def narrow(config: NS2Config | str, head: int = 4) -> NS2Config:
    """A config of the same structure (layers, heads, kernels, dilations), but of small widths.

    Args:
        config: or the name of a preset; all its parts have as many heads.
        head: width of each head; inner widths shrink as much as the widths around them.
    """
    config = preset(config) if isinstance(config, str) else config
    wavenet = config.denoiser.wavenet
    width, hidden = config.phoneme_encoder.heads * head, wavenet.heads * head

    def encoder(of: EncoderConfig) -> EncoderConfig:
        return replace(of, inner=of.inner * width // config.width)

    return replace(
        config,
        width=width,
        phoneme_encoder=encoder(config.phoneme_encoder),
        prompt_encoder=encoder(config.prompt_encoder),
        denoiser=replace(
            config.denoiser,
            wavenet=replace(
                wavenet, hidden=hidden, filter=wavenet.filter * hidden // wavenet.hidden
            ),
        ),
    )


def with_drops(draws: Draws) -> Draws:
    """The same for 3 utterances or more: the first drops its prompt, the second its content."""
    count = torch.arange(len(draws.uniform))
    return replace(draws, drop_prompt=count == 0, drop_content=count == 1)
