"""What the denoiser is told: normalised latents, prompts that may be missing, text and pitch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.model.blocks.layers import Attention, length_mask
from ns2.model.diffusion.objectives import noised
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.choices import Choices
from ns2.model.tts.generation import Request, generate, generate_latents
from ns2.model.tts.ns2 import NS2
from tests.support.model_factories import (
    SIZES,
    make_batch,
    make_codebooks,
    make_example,
    make_model,
    narrow,
)


def spied(model: nn.Module) -> list[tuple[tuple[Tensor, ...], dict[str, Tensor]]]:
    """What the denoiser is called with from now on."""
    calls: list[tuple[tuple[Tensor, ...], dict[str, Tensor]]] = []
    model.denoiser.register_forward_pre_hook(  # type: ignore[union-attr]
        lambda _, args, given: calls.append((args, given)), with_kwargs=True
    )
    return calls


# -- latents -------------------------------------------------------------------------------------


def test_latents_are_sums_of_entries_with_mean_0_and_deviation_1() -> None:
    model, rng = make_model(narrow("tiny")), np.random.default_rng(0)
    codes = rng.integers(0, SIZES.entries, (1, SIZES.quantizers, 20_000))
    found = model.latents_of(torch.from_numpy(codes))
    books = make_codebooks().numpy()
    raw = sum(books[q][codes[0, q]] for q in range(SIZES.quantizers)).T
    assert abs(raw.mean()) > 1 and raw.std() > 3  # as the codec has them
    np.testing.assert_allclose(model.denormalised(found)[0].numpy(), raw, rtol=1e-4, atol=1e-4)
    assert found[0].mean(1).abs().max() < 0.05
    assert (found[0].std(1) - 1).abs().max() < 0.05


def test_the_denoiser_sees_normalised_latents_and_its_samples_are_denormalised() -> None:
    model, batch = make_model(narrow("tiny"), training=False), make_batch()
    calls = spied(model)
    draws = model.draw(batch, self_condition=False)
    model(batch, draws)
    level = model.schedule.at(model.schedule.times(draws.uniform))
    raw = functional.embedding(batch.codes[:, 0].long(), model.codebooks[0])
    for q in range(1, SIZES.quantizers):
        raw = raw + functional.embedding(batch.codes[:, q].long(), model.codebooks[q])
    x0 = ((raw - model.latent_mean) / model.latent_std).transpose(1, 2)
    wanted = noised(x0, draws.noise, level.alpha, level.sigma)
    for i, length in enumerate(batch.frames.tolist()):
        torch.testing.assert_close(
            calls[0][0][0][i, :, :length], wanted[i, :, :length], rtol=1e-4, atol=1e-5
        )
    model.denoiser.forward = (  # type: ignore[method-assign]
        lambda x, *_, **__: torch.ones_like(x)
    )
    request = Request(phonemes=batch.phonemes, tokens=batch.tokens, seeds=batch.seeds)
    made = generate(model, request, Choices(sampler=SamplerConfig(steps=2)))
    wanted = model.latent_mean + model.latent_std  # a normalised 1
    torch.testing.assert_close(made.latents[0, :, 0], wanted)


def test_statistics_that_do_not_fit_are_refused() -> None:
    model = make_model(narrow("tiny"))
    mean, std = torch.zeros(16), torch.ones(16)
    with pytest.raises(ValueError, match="codebooks must have the shape"):
        model.fit_to(codebooks=torch.zeros(4, 64, 8), latent_mean=mean, latent_std=std)
    with pytest.raises(ValueError, match="never varies"):
        model.fit_to(codebooks=make_codebooks(), latent_mean=mean, latent_std=0 * std)


def test_whitened_latents_have_nothing_in_common_and_come_back() -> None:
    config = narrow("tiny")
    config = replace(config, diffusion=replace(config.diffusion, latents="whitened"))
    model = NS2(config, SIZES)
    rng = np.random.default_rng(1)
    mixture = rng.normal(size=(16, 16)) * 4.0 ** -np.arange(16)  # energies from 1 to almost 0
    raw = 3 + 5 * mixture @ rng.normal(size=(16, 50_000))
    mean, std = raw.mean(1), raw.std(1)
    told = {
        "codebooks": make_codebooks(),
        "latent_mean": torch.tensor(mean, dtype=torch.float32),
        "latent_std": torch.tensor(std, dtype=torch.float32),
    }
    with pytest.raises(ValueError, match="correlation"):
        model.fit_to(**told)
    model.fit_to(**told, latent_correlation=torch.tensor(np.corrcoef(raw)))
    latents = torch.tensor(raw, dtype=torch.float32)[None]
    found = model.normalised(latents)
    torch.testing.assert_close(model.denormalised(found), latents, rtol=1e-3, atol=1e-2)
    values = np.linalg.eigvalsh(np.corrcoef(raw))
    wanted = np.sort(values / (values + 0.01))  # of the energies that are not tiny all is kept
    covariance = np.cov(found[0].double().numpy())
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance), wanted, atol=1e-3)
    strong = values > 1
    assert strong.sum() >= 2 and (np.sort(wanted)[strong] > 0.99).all()


# -- prompts -------------------------------------------------------------------------------------


def test_attention_is_that_of_the_keys_that_there_are() -> None:
    """Against a softmax written out over the real keys of each row alone."""
    torch.manual_seed(0)
    layer, heads = Attention(8, 2).double(), 2
    x, context = torch.randn(3, 5, 8).double(), torch.randn(3, 7, 8).double()
    lengths = [7, 3, 1]
    found = layer(x, context, length_mask(torch.tensor(lengths), 7))
    for i, length in enumerate(lengths):
        parts = (
            a.chunk(heads, -1)
            for a in (layer.query(x[i]), layer.key(context[i]), layer.value(context[i]))
        )
        told = [
            (q @ k[:length].T / 2).softmax(-1) @ v[:length] for q, k, v in zip(*parts, strict=True)
        ]
        torch.testing.assert_close(found[i], layer.leave(torch.cat(told, -1)))


@pytest.mark.parametrize("name", ["tiny", "seed"])
def test_no_prompt_at_all_is_finite_and_learns_the_null_prompt(name: str) -> None:
    """Every row of the prompt's mask is empty: losses, gradients and samples stay finite."""
    batch = make_batch([make_example(12, 4, seed=i) for i in range(3)])
    assert not batch.prompt_frames.any()
    model = make_model(narrow(name))
    for self_condition in (False, True):
        losses = model(batch, model.draw(batch, self_condition=self_condition))
        assert all(loss.isfinite() for loss in losses.values())
        model.total(losses).backward()
    assert model.null_prompt.grad is not None and model.null_prompt.grad.all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    request = Request(phonemes=batch.phonemes, tokens=batch.tokens, seeds=batch.seeds)
    choices = Choices(sampler=SamplerConfig(steps=2), guidance=1.5)
    found = generate(model, request, choices)
    assert found.latents.isfinite().all()
    empty = replace(request, prompt_codes=batch.prompt_codes, prompt_frames=batch.prompt_frames)
    torch.testing.assert_close(generate(model, empty, choices).latents, found.latents)


def test_a_dropped_prompt_is_as_none() -> None:
    """Nothing of the voice is left, and other rows keep theirs."""
    model, batch = make_model(narrow("tiny"), training=False), make_batch()
    drop = torch.tensor([True, False, False, False])
    voice = model.voice(batch.prompt_codes, batch.prompt_frames, drop)
    kept = model.voice(batch.prompt_codes, batch.prompt_frames)
    none = model.voice(batch.prompt_codes[:, :, :1], torch.zeros(4, dtype=torch.int64))
    torch.testing.assert_close(voice.tokens[0], none.tokens[0])
    torch.testing.assert_close(voice.tokens[1:], kept.tokens[1:])
    assert voice.mask.sum(1).tolist() == [1, 21, 25, 1]  # the null prompt is one frame
    torch.testing.assert_close(voice.states[0, 0], model.null_prompt)
    assert not torch.allclose(kept.tokens[0], none.tokens[0])


def test_dropped_content_leaves_neither_text_nor_pitch() -> None:
    model, batch = make_model(narrow("tiny"), training=False), make_batch()
    calls = spied(model)
    draws = model.draw(batch, self_condition=False)
    drop = torch.tensor([False, True, False, True])
    losses = model(batch, replace(draws, drop_content=drop))
    other = model(batch, replace(draws, drop_content=~drop))
    content = calls[0][1]["content"]
    assert torch.equal(content[drop], model.null_content.expand_as(content[drop]))
    assert not torch.isclose(content[~drop], model.null_content).all(-1).any()
    # the predictors know text all the same
    assert losses["duration"] == other["duration"] and losses["pitch"] == other["pitch"]
    assert losses["diffusion"] != other["diffusion"]


def test_pitch_enters_frame_by_frame() -> None:
    """Another F0 at one frame moves the content of that frame alone."""
    model = make_model(narrow("tiny"), training=False)
    states = torch.randn(4, 40, 8)
    f0 = torch.full((4, 40), 150.0)
    moved = f0.clone()
    moved[1, 7], moved[2, 9] = 300.0, 0.0
    changed = (model.content(states, f0) != model.content(states, moved)).any(-1)
    assert changed.nonzero().tolist() == [[1, 7], [2, 9]]


# -- without conditions --------------------------------------------------------------------------


def test_an_unconditional_model_has_losses_of_latents_alone() -> None:
    model = make_model(replace(narrow("tiny"), conditional=False))
    batch = make_batch()
    losses = model(batch, model.draw(batch, self_condition=True))
    assert losses.keys() == {"diffusion", "score", "ce_rvq"}
    made = generate_latents(
        model, torch.tensor([9, 4]), torch.tensor([1, 2]), Choices(sampler=SamplerConfig(steps=2))
    )
    assert made.latents.shape == (2, 16, 9) and made.frames.tolist() == [9, 4]
    with pytest.raises(ValueError, match="knows no text"):
        generate(model, Request(phonemes=batch.phonemes, tokens=batch.tokens, seeds=batch.seeds))
    with pytest.raises(ValueError, match="needs text"):
        generate_latents(make_model(narrow("tiny")), torch.tensor([9]), torch.tensor([1]))
