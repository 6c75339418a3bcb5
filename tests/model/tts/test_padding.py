"""What lies behind an utterance's end changes nothing, and learns nothing, in any module.

Modules run on a padded batch with junk behind the ends, and on each utterance alone; both answers
agree, and so do the gradients, which are zero behind the ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from ns2.model.blocks.encoder import Encoder, EncoderConfig
from ns2.model.blocks.layers import Attention, Conv, length_mask
from ns2.model.blocks.resampler import Resampler, ResamplerConfig
from ns2.model.blocks.transformer import ConditionableTransformer, TransformerConfig
from ns2.model.blocks.wavenet import WaveNet, WaveNetConfig
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.batch import Batch, Counts
from ns2.model.tts.choices import Choices
from ns2.model.tts.denoiser import Denoiser, DenoiserConfig
from ns2.model.tts.generation import Request, generate, generate_latents
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.predictors import Predictor, PredictorConfig
from tests.support.model_factories import (
    SIZES,
    make_batch,
    make_examples,
    make_model,
    narrow,
    with_drops,
)

WIDTH = 16
LENGTHS = torch.tensor([11, 7, 1])
PROMPTS = torch.tensor([4, 9, 1])
SIZE, PROMPT_SIZE = 13, 12
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
JUNK = 30.0


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def junk_behind(x: Tensor, mask: Tensor, seed: int = 9) -> Tensor:
    """x (B, T, C) with enormous values where there is nothing."""
    return torch.where(mask[..., None], x, JUNK * noise(*x.shape, seed=seed))


Run = Callable[[Tensor, Tensor, slice], Tensor]
"""(B, T, C), its mask and which rows of the batch they are, to (B, T, any) or (B, any, any)."""


def check(run: Run, lengths: Tensor = LENGTHS, size: int = SIZE, *, along: bool = True) -> None:
    """A module agrees with itself on padded and on single sequences, gradients too.

    Args:
        along: whether its output is as long as what is padded.
    """
    mask = length_mask(lengths, size)
    x = junk_behind(noise(len(lengths), size, WIDTH), mask).requires_grad_()
    together = run(x, mask, slice(None))
    weight = noise(*together.shape, seed=1)
    if along:
        weight = weight * mask[..., None]
    (gradient,) = torch.autograd.grad((together * weight).sum(), x)
    assert not gradient[~mask].any()
    for i, length in enumerate(lengths.tolist()):
        kept = length if along else together.shape[1]
        own = x.detach()[i : i + 1, :length].requires_grad_()
        alone = run(own, torch.ones(1, length, dtype=torch.bool), slice(i, i + 1))
        torch.testing.assert_close(together[i : i + 1, :kept], alone, **CLOSE)
        (wanted,) = torch.autograd.grad((alone * weight[i : i + 1, :kept]).sum(), own)
        assert wanted.any()
        torch.testing.assert_close(gradient[i : i + 1, :length], wanted, **CLOSE)


def check_prompt(run: Callable[[Tensor, Tensor | None, slice], Tensor]) -> None:
    """The same for a prompt that is padded, where the answer has another length."""
    check(run, PROMPTS, PROMPT_SIZE, along=False)


def module(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    made = make().eval()
    for parameter in made.parameters():  # biases that start at zero hide a part of what happens
        if parameter.ndim == 1:
            nn.init.normal_(parameter, 1.0, 0.3)
    return made


def prompt() -> tuple[Tensor, Tensor]:
    mask = length_mask(PROMPTS, PROMPT_SIZE)
    return junk_behind(noise(3, PROMPT_SIZE, WIDTH, seed=4), mask), mask


# -- layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotary", [False, True])
def test_attention(rotary: bool) -> None:
    layer = module(lambda: Attention(WIDTH, 2, rotary=rotary))
    check(lambda x, mask, _: layer(x, x, mask))
    queries = noise(3, 5, WIDTH, seed=3)
    check_prompt(lambda x, mask, rows: layer(queries[rows], x, mask))


@pytest.mark.parametrize("causal", [False, True])
def test_convolution(causal: bool) -> None:
    layer = module(lambda: Conv(WIDTH, 8, 5, dilation=2, causal=causal))
    check(lambda x, mask, _: layer(x, mask))


@pytest.mark.parametrize(
    ("norm", "pre_norm", "positions", "stem"),
    list(product(["layer", "rms"], [False, True], ["sinusoidal", "rotary"], [0, 2])),
)
def test_encoder(norm: str, pre_norm: bool, positions: str, stem: int) -> None:
    config = EncoderConfig(
        layers=2,
        heads=2,
        inner=24,
        kernel=5,
        stem=stem,
        norm=norm,  # type: ignore[arg-type]
        pre_norm=pre_norm,
        positions=positions,  # type: ignore[arg-type]
    )
    encoder = module(lambda: Encoder(config, WIDTH))
    check(lambda x, mask, _: encoder(x, mask))
    mask = length_mask(LENGTHS, SIZE)
    assert not encoder(noise(3, SIZE, WIDTH), mask)[~mask].any()


@pytest.mark.parametrize("block", ["conv", "resnet"])
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_predictor(block: str, norm: str) -> None:
    config = PredictorConfig(
        layers=4,
        attend_every=2,
        heads=2,
        block=block,  # type: ignore[arg-type]
        norm=norm,  # type: ignore[arg-type]
    )
    predictor = module(lambda: Predictor(config, WIDTH, 2))
    spoken, spoken_mask = prompt()
    check(lambda x, mask, rows: predictor(x, mask, spoken[rows], spoken_mask[rows]))
    x, mask = noise(3, SIZE, WIDTH), length_mask(LENGTHS, SIZE)
    check_prompt(lambda y, y_mask, rows: predictor(x[rows], mask[rows], y, y_mask))


@pytest.mark.parametrize("layers", [1, 2])
def test_resampler(layers: int) -> None:
    config = ResamplerConfig(queries=3, layers=layers, heads=2, expansion=2)
    resampler = module(lambda: Resampler(config, WIDTH))
    check_prompt(lambda x, mask, _: resampler(x, mask))


WAVENET = WaveNetConfig(
    layers=5, hidden=WIDTH, filter=12, kernel=5, dilation_cycle=2, attend_every=2, heads=2
)
TRANSFORMER = TransformerConfig(depth=2, heads=2)


def test_wavenet() -> None:
    net = module(lambda: WaveNet(WAVENET))
    time, tokens = noise(3, WIDTH, seed=5), noise(3, 4, WIDTH, seed=6)
    said = junk_behind(noise(3, SIZE, WIDTH, seed=7), length_mask(LENGTHS, SIZE))
    check(lambda x, mask, rows: net(x, time[rows], said[rows, : x.shape[1]], tokens[rows], mask))


@pytest.mark.parametrize("causal", [False, True])
def test_transformer(causal: bool) -> None:
    config = replace(TRANSFORMER, causal=causal)
    net = module(lambda: ConditionableTransformer(config, WIDTH))
    time, tokens = noise(3, WIDTH, seed=5), noise(3, 4, WIDTH, seed=6)
    check(lambda x, mask, rows: net(x, time[rows], tokens[rows], mask))


@pytest.mark.parametrize("depth", [0, 2])
def test_denoiser(depth: int) -> None:
    """Its latents, content, estimate and prompt are padded in turn."""
    config = DenoiserConfig(
        wavenet=WAVENET,
        resampler=ResamplerConfig(queries=3, heads=2),
        transformer=replace(TRANSFORMER, depth=depth),
    )
    net = module(lambda: Denoiser(config, latent_dim=WIDTH, width=WIDTH))
    assert isinstance(net, Denoiser)
    mask = length_mask(LENGTHS, SIZE)
    time = torch.tensor([0.1, 0.5, 0.9])
    tracks = [junk_behind(noise(3, SIZE, WIDTH, seed=seed), mask) for seed in (10, 11, 12)]
    spoken, spoken_mask = prompt()

    def run(latents: Tensor, said: Tensor, estimate: Tensor, own: Tensor, rows: slice) -> Tensor:
        out = net(
            latents.transpose(1, 2),
            time[rows],
            own,
            content=said,
            tokens=net.tokens(spoken[rows], spoken_mask[rows]),
            estimate=estimate.transpose(1, 2),
        )
        return out.transpose(1, 2)

    for place in range(3):

        def one(x: Tensor, own: Tensor, rows: slice, place: int = place) -> Tensor:
            given = [track[rows, : x.shape[1]] for track in tracks]
            given[place] = x
            return run(given[0], given[1], given[2], own, rows)

        check(one)

    def spoken_to(x: Tensor, own: Tensor, rows: slice) -> Tensor:
        latents, said, estimate = (track[rows].transpose(1, 2) for track in tracks)
        return net(
            latents,
            time[rows],
            mask[rows],
            content=said.transpose(1, 2),
            tokens=net.tokens(x, own),
            estimate=estimate,
        )

    check_prompt(spoken_to)
    assert (
        not net(
            tracks[0].transpose(1, 2), time, mask, content=tracks[1], tokens=net.tokens(*prompt())
        )
        .transpose(1, 2)[~mask]
        .any()
    )


# -- the whole model -----------------------------------------------------------------------------


def model_of(name: str) -> NS2:
    """A narrow preset, or `tiny` with another choice; without dropout."""
    if name == "unconditional":
        return make_model(replace(narrow("tiny"), conditional=False), training=False)
    if name == "eps, all":
        config = narrow("tiny")
        diffusion = replace(config.diffusion, objective="eps", ce_quantizers="all")
        return make_model(replace(config, diffusion=diffusion), training=False)
    return make_model(narrow(name), training=False)


def row(batch: Batch, i: int) -> Batch:
    """One utterance of a batch, without its padding."""
    one = {f.name: getattr(batch, f.name)[i : i + 1] for f in fields(batch)}
    ends = {
        "codes": batch.frames,
        "f0": batch.frames,
        "phonemes": batch.tokens,
        "durations": batch.tokens,
        "prompt_codes": batch.prompt_frames.clamp(min=1),
    }
    return Batch(**{k: v[..., : ends[k][i]] if k in ends else v for k, v in one.items()})


def spoilt(batch: Batch) -> Batch:
    """The batch with junk behind all ends: last codes, loud pitch, phonemes that last."""
    frames, tokens = batch.frame_mask, batch.token_mask
    last = SIZES.entries - 1
    return replace(
        batch,
        codes=batch.codes.where(frames[:, None], torch.tensor(last, dtype=torch.int32)),
        f0=batch.f0.where(frames, 440.0),
        phonemes=batch.phonemes.where(tokens, SIZES.phonemes - 1),
        durations=batch.durations.where(tokens, 17),
        prompt_codes=batch.prompt_codes.where(
            batch.prompt_mask[:, None], torch.tensor(last, dtype=torch.int32)
        ),
    )


def losses_of(
    model: NS2, batch: Batch, counts: Counts, *, self_condition: bool, rows: slice
) -> dict[str, Tensor]:
    """Losses of the rows of `make_batch`; the first drops its prompt, the second its content."""
    everyone = with_drops(model.draw(make_batch(), self_condition=self_condition))
    draws = replace(
        model.draw(batch, self_condition=self_condition),
        drop_prompt=everyone.drop_prompt[rows],
        drop_content=everyone.drop_content[rows],
    )
    found: dict[str, Tensor] = model(batch, draws, counts)
    return found


def test_draws_depend_on_nothing_but_the_seed() -> None:
    model, batch = make_model(), make_batch(frame_multiple=64)
    together = model.draw(batch, self_condition=False)
    for i in range(len(batch)):
        alone = model.draw(row(batch, i), self_condition=False)
        length = int(batch.frames[i])
        assert torch.equal(together.noise[i, :, :length], alone.noise[0])
        assert not together.noise[i, :, length:].any()
        for name in ("uniform", "quantizer", "drop_prompt", "drop_content"):
            assert torch.equal(getattr(together, name)[i : i + 1], getattr(alone, name))
    other = model.draw(replace(batch, seeds=batch.seeds + 100), self_condition=False)
    assert not torch.equal(other.uniform, together.uniform)


@pytest.mark.parametrize("name", ["tiny", "seed", "unconditional", "eps, all"])
@pytest.mark.parametrize("self_condition", [False, True])
def test_losses_and_gradients_are_those_of_each_utterance_alone(
    name: str, self_condition: bool
) -> None:
    """Divided by the counts of the batch, losses of its utterances add up to its own."""
    model = model_of(name)
    batch = make_batch(frame_multiple=48, token_multiple=10, prompt_multiple=32)
    counts = Counts.of(batch)
    together = losses_of(
        model, spoilt(batch), counts, self_condition=self_condition, rows=slice(None)
    )
    model.total(together).backward()
    gradients = {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    added: dict[str, Tensor] = {}
    for i in range(len(batch)):
        losses = losses_of(
            model, row(batch, i), counts, self_condition=self_condition, rows=slice(i, i + 1)
        )
        model.total(losses).backward()
        added = {k: added.get(k, torch.zeros(())) + v.detach() for k, v in losses.items()}
    assert added.keys() == together.keys()
    for key, loss in together.items():
        torch.testing.assert_close(loss.detach(), added[key], rtol=1e-5, atol=0, msg=key)
    for key, parameter in model.named_parameters():
        if parameter.grad is None:
            assert key not in gradients
            continue
        error = (gradients[key] - parameter.grad).norm() / parameter.grad.norm()
        assert error < 1e-4, f"{key}: {error}"


def test_an_utterance_has_its_own_mean_loss() -> None:
    """Whoever is alone is divided by its own counts: the mean over its frames and tokens."""
    model, batch = make_model(narrow("tiny"), training=False), make_batch()
    alone = row(batch, 1)
    counts = Counts.of(alone)
    assert counts.frames == batch.frames[1] and counts.tokens == batch.tokens[1]
    assert counts.voiced == (alone.f0 > 0).sum()
    draws = model.draw(alone, self_condition=False)
    ones = Counts(**dict.fromkeys(vars(counts), torch.ones(())))
    mean, total = model(alone, draws), model(alone, draws, ones)
    divisors = {
        "diffusion": counts.frames,
        "score": counts.frames,
        "ce_rvq": counts.frames,
        "duration": counts.tokens,
        "pitch": counts.voiced,
        "voicing": counts.frames,
    }
    for key, loss in total.items():
        torch.testing.assert_close(loss / divisors[key], mean[key], rtol=1e-6, atol=0)


def test_multiples_of_frames_change_no_loss() -> None:
    model = model_of("seed")
    plain = make_batch()
    padded = make_batch(frame_multiple=64, token_multiple=16, prompt_multiple=50)
    assert padded.codes.shape[2] == 64 and padded.phonemes.shape[1] == 16
    assert padded.prompt_codes.shape[2] == 50
    for self_condition in (False, True):
        wanted, found = (
            model(b, model.draw(b, self_condition=self_condition)) for b in (plain, padded)
        )
        for key, loss in wanted.items():
            torch.testing.assert_close(found[key], loss, rtol=1e-5, atol=0, msg=key)


def test_latents_behind_the_end_get_no_gradient() -> None:
    """Nor do their answers: noise behind the end changes nothing, and the loss ignores it."""
    model, batch = make_model(narrow("tiny"), training=False), make_batch(frame_multiple=48)
    draws = model.draw(batch, self_condition=True)
    loud = JUNK * noise(*draws.noise.shape)
    noises = torch.where(batch.frame_mask[:, None], draws.noise, loud).requires_grad_()
    losses = model(batch, replace(draws, noise=noises))
    (gradient,) = torch.autograd.grad(model.total(losses), noises)
    for i, length in enumerate(batch.frames.tolist()):
        assert not gradient[i, :, length:].any()
        assert gradient[i, :, :length].any(0).all()
    for key, loss in model(batch, draws).items():
        torch.testing.assert_close(losses[key], loss, rtol=1e-5, atol=0, msg=key)


@pytest.mark.parametrize("kind", ["euler", "ddpm"])
@pytest.mark.parametrize("name", ["tiny", "seed"])
def test_what_is_generated_does_not_depend_on_the_batch(name: str, kind: str) -> None:
    model = model_of(name)
    batch = spoilt(make_batch(token_multiple=16, prompt_multiple=40))
    choices = Choices(
        sampler=SamplerConfig(kind=kind, steps=4, temperature=1.0),  # type: ignore[arg-type]
        guidance=2.0,
        rescale=0.5,
        speed=1.3,
    )

    def run(b: Batch) -> dict[str, Tensor]:
        request = Request(
            phonemes=b.phonemes,
            tokens=b.tokens,
            seeds=b.seeds,
            prompt_codes=b.prompt_codes,
            prompt_frames=b.prompt_frames,
        )
        return vars(generate(model, request, choices))

    together = run(batch)
    scale = float(model.latent_std.mean())
    for i in range(len(batch)):
        alone = run(row(batch, i))
        frames, tokens = int(alone["frames"]), int(batch.tokens[i])
        assert int(together["frames"][i]) == frames
        assert torch.equal(together["durations"][i, :tokens], alone["durations"][0])
        assert not together["durations"][i, tokens:].any()
        torch.testing.assert_close(together["f0"][i, :frames], alone["f0"][0], **CLOSE)
        torch.testing.assert_close(
            together["latents"][i, :, :frames] / scale, alone["latents"][0] / scale, **CLOSE
        )
        assert not together["latents"][i, :, frames:].any()
        assert not together["f0"][i, frames:].any()


def test_unconditional_samples_do_not_depend_on_the_batch() -> None:
    model = model_of("unconditional")
    choices = Choices(sampler=SamplerConfig(kind="dpm++", steps=4))
    frames, seeds = torch.tensor([14, 9]), torch.tensor([3, 4])
    together = generate_latents(model, frames, seeds, choices)
    alone = generate_latents(model, frames[1:], seeds[1:], choices)
    torch.testing.assert_close(together.latents[1, :, :9], alone.latents[0], **CLOSE)
    assert not together.latents[1, :, 9:].any()


def test_all_examples_are_of_use() -> None:
    """The batch has every kind of prompt: own, another utterance's, none; and a silent mark."""
    batch, given = make_batch(), make_examples()
    cut = [int(f) < e.codes.shape[1] for f, e in zip(batch.frames, given, strict=True)]
    assert cut == [True, True, False, False]
    assert batch.prompt_frames.tolist()[2:] == [25, 0]
    assert any((e.durations == 0).any() for e in given)
