"""The cross-entropy of the residual quantiser: brute force, and real codecs on speech."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from ns2.model.codec.encodec import EncodecCodec
from ns2.model.codec.interface import EXTRA_FRAMES, codes_to_latents
from ns2.model.codec.mini_codec import load_mini
from ns2.model.codec.registry import MINI_WEIGHTS
from ns2.model.diffusion.rvq import rvq_cross_entropy, rvq_cross_entropy_of_all, rvq_logits
from tests.support.seeded_encodec import spoken, spoken_encodec

B, D, Q, E, T = 4, 5, 3, 11, 7


class Case(NamedTuple):
    latents: Tensor
    codes: Tensor
    codebooks: Tensor
    quantizer: Tensor
    mask: Tensor


def case(dtype: torch.dtype = torch.float64) -> Case:
    generator = torch.Generator().manual_seed(0)
    return Case(
        torch.randn(B, D, T, generator=generator, dtype=dtype),
        torch.randint(E, (B, Q, T), generator=generator),
        torch.randn(Q, E, D, generator=generator, dtype=dtype),
        torch.tensor([0, 2, 1, 2]),
        torch.arange(T) < torch.tensor([[7], [5], [1], [0]]),
    )


def by_hand(given: Case) -> tuple[np.ndarray, np.ndarray]:
    """Logits (B, T, E) and cross-entropies (B,), one frame and one entry after the other."""
    latents, books = given.latents.double().numpy(), given.codebooks.double().numpy()
    logits, losses = np.zeros((B, T, E)), np.zeros(B)
    for b in range(B):
        j = int(given.quantizer[b])
        for t in range(T):
            rest = latents[b, :, t].copy()
            for i in range(j):
                rest -= books[i, given.codes[b, i, t]]
            logits[b, t] = [-np.sum((rest - books[j, e]) ** 2) for e in range(E)]
            share = np.exp(logits[b, t, given.codes[b, j, t]]) / np.exp(logits[b, t]).sum()
            losses[b] -= np.log(share) if given.mask[b, t] else 0.0
    return logits, losses


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_logits_and_cross_entropy_by_hand(dtype: torch.dtype, close: float) -> None:
    given = case(dtype)
    logits, losses = by_hand(given)
    found = rvq_logits(given.latents, given.codes, given.codebooks, given.quantizer)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.double().numpy(), logits, rtol=close, atol=close)
    nats = rvq_cross_entropy(*given)
    assert nats.shape == (B,) and float(nats[3]) == 0
    np.testing.assert_allclose(nats.double().numpy(), losses, rtol=close, atol=close)


def test_the_mean_of_all_quantizers() -> None:
    given = case()
    wanted = torch.stack(
        [rvq_cross_entropy(*given._replace(quantizer=torch.full((B,), j))) for j in range(Q)]
    ).mean(0)
    latents = given.latents.clone().requires_grad_()
    found = rvq_cross_entropy_of_all(latents, given.codes, given.codebooks, given.mask)
    assert torch.allclose(found, wanted)
    (gradient,) = torch.autograd.grad(found.sum(), latents)
    other = given.latents.clone().requires_grad_()
    for j in range(Q):
        rvq_cross_entropy(
            other, given.codes, given.codebooks, torch.full((B,), j), given.mask
        ).sum().backward()
    assert other.grad is not None
    assert torch.allclose(gradient, other.grad / Q)


def test_the_gradient_pulls_towards_the_right_entry() -> None:
    """It is 2 (expected entry - true entry): away from what is believed, towards what is right.

    Following it, the prediction ends where the true entry has the largest logit.
    """
    given = case()
    mask = torch.ones(B, T, dtype=torch.bool)
    latents = given.latents.clone().requires_grad_()
    rest = (given.latents, given.codes, given.codebooks, given.quantizer)
    shares = rvq_logits(*rest).softmax(2)
    books = given.codebooks[given.quantizer]  # (B, E, D)
    true = torch.stack([given.codes[b, j] for b, j in enumerate(given.quantizer)])
    entries = torch.stack([books[b, true[b]] for b in range(B)])
    wanted = 2 * (shares @ books - entries).transpose(1, 2)
    rvq_cross_entropy(latents, *rest[1:], mask).sum().backward()
    assert latents.grad is not None
    assert torch.allclose(latents.grad, wanted)

    # each entry is the nearest to itself, so that is where it leads
    before = (shares.argmax(2) == true).double().mean()
    moved = given.latents.clone()
    for _ in range(400):
        moved = moved.detach().requires_grad_()
        rvq_cross_entropy(moved, *rest[1:], mask).sum().backward()
        assert moved.grad is not None
        moved = moved - 0.1 * moved.grad
    found = rvq_logits(moved.detach(), *rest[1:]).argmax(2)
    assert before < 0.5
    assert torch.equal(found, true)


def test_frames_behind_the_end_count_nothing_and_get_no_gradient() -> None:
    given = case()
    latents = given.latents.clone()
    latents[1, :, 5:] = 1e6
    latents.requires_grad_()
    nats = rvq_cross_entropy(latents, *given[1:])
    assert torch.allclose(nats, rvq_cross_entropy(*given))
    nats.sum().backward()
    assert latents.grad is not None
    outside = ~given.mask[:, None].expand_as(latents)
    assert (latents.grad[outside] == 0).all()
    assert (latents.grad[~outside] != 0).all()


def test_autocast_changes_nothing() -> None:
    given = case(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = rvq_cross_entropy(*given)
        logits = rvq_logits(*given[:4])
    assert torch.equal(inside, rvq_cross_entropy(*given))
    assert torch.equal(logits, rvq_logits(*given[:4]))
    half = given._replace(latents=given.latents.bfloat16())
    assert rvq_cross_entropy(*half).dtype == torch.float32


def test_it_compiles_in_one_graph() -> None:
    given = case(torch.float32)
    one = torch.compile(rvq_cross_entropy, fullgraph=True, backend="aot_eager")
    every = torch.compile(rvq_cross_entropy_of_all, fullgraph=True, backend="aot_eager")
    assert torch.allclose(one(*given), rvq_cross_entropy(*given))
    latents, codes, codebooks, _, mask = given
    found = []
    for function in (every, rvq_cross_entropy_of_all):
        inputs = latents.clone().requires_grad_()
        function(inputs, codes, codebooks, mask).sum().backward()
        assert inputs.grad is not None
        found.append(inputs.grad)
    assert torch.allclose(found[0], found[1], atol=1e-6)


def test_codes_of_another_number_of_quantizers() -> None:
    given = case()
    with pytest.raises(ValueError, match="codes of 2 quantizers, 3 codebooks"):
        rvq_cross_entropy(*given._replace(codes=given.codes[:, :2]))


class Spoken(NamedTuple):
    """What a codec makes of speech: (1, D, T), (1, Q, T), (Q, E, D)."""

    continuous: Tensor
    codes: Tensor
    codebooks: Tensor


@functools.cache
def mini() -> Spoken:
    """The bundled codec's own encoder, on the audio padded as the canonical encode does."""
    codec = load_mini(MINI_WEIGHTS)
    wave = torch.tensor(np.concatenate(spoken())[: 320 * 500])
    codes = codec.encode(wave)
    padded = torch.nn.functional.pad(wave, (0, 320 * EXTRA_FRAMES))
    with torch.no_grad():
        latents = codec._network.encode(padded[None])[:, : codes.shape[1]]
    return Spoken(latents.transpose(1, 2), codes[None], codec.codebooks)


@functools.cache
def encodec() -> Spoken:
    codec = EncodecCodec(spoken_encodec(4), 4)
    wave = torch.tensor(np.concatenate(spoken())[: 320 * 150])
    codes = codec.encode(wave)
    padded = torch.nn.functional.pad(wave, (0, 320 * EXTRA_FRAMES))
    with torch.no_grad():
        latents = codec._model.encoder(padded[None, None])[:, :, : codes.shape[1]]
    return Spoken(latents, codes[None], codec.codebooks)


codecs = pytest.mark.parametrize("codec", [mini, encodec], ids=["mini", "encodec"])


def logits_of_all(latents: Tensor, codes: Tensor, codebooks: Tensor) -> Tensor:
    """(Q, T, E) of one utterance, by a batch that holds it once for each quantiser."""
    count = codebooks.shape[0]
    return rvq_logits(
        latents.expand(count, -1, -1), codes.expand(count, -1, -1), codebooks, torch.arange(count)
    )


@codecs
def test_from_the_encoders_output_the_largest_logit_is_the_stored_code(codec) -> None:  # type: ignore[no-untyped-def]
    """For every quantiser and frame; where two are as near as float32 can tell, either."""
    continuous, codes, codebooks = codec()
    logits = logits_of_all(continuous, codes, codebooks)
    stored = logits.gather(2, codes[0][:, :, None])[:, :, 0]
    best, found = logits.max(2)
    right = found == codes[0]
    print(f"equal: {float(right.double().mean()):.5%}")
    assert right.double().mean(1).min() > 0.998
    tie = 1e-5 * (1 + continuous.square().sum(1).max())
    assert (best - stored)[~right].abs().le(tie).all()


@codecs
def test_from_the_sum_of_entries_it_is_for_the_last_and_mostly_for_others(codec) -> None:  # type: ignore[no-untyped-def]
    """How mostly depends on the codec; guessing would be right once in a thousand."""
    _, codes, codebooks = codec()
    latents = codes_to_latents(codes, codebooks)
    found = logits_of_all(latents, codes, codebooks).argmax(2)
    rates = (found == codes[0]).double().mean(1)
    print("rates of quantisers on the sum:", [round(float(rate), 4) for rate in rates])
    assert rates[-1] == 1
    assert rates[:-1].mean() > 0.7


def test_the_true_entries_of_those_before_are_what_is_taken_off() -> None:
    """With another frame's codes as prefix, the argmax is right no more than by chance."""
    continuous, codes, codebooks = mini()
    wrong = codes.roll(37, dims=2)
    found = logits_of_all(continuous, wrong, codebooks).argmax(2)
    assert (found[1:] == codes[0][1:]).double().mean() < 0.2
    assert (found[0] == codes[0][0]).double().mean() > 0.99  # the first has none before it


def test_it_rises_with_distance_from_the_truth() -> None:
    """And is far off for normalised latents: they have to be as large as the codec's."""
    continuous, codes, codebooks = mini()
    mask = torch.ones(1, codes.shape[2], dtype=torch.bool)

    def nats(latents: Tensor) -> float:
        with torch.no_grad():
            return float(rvq_cross_entropy_of_all(latents, codes, codebooks, mask)[0])

    deviation = continuous.std(2, keepdim=True)
    noise = deviation * torch.randn(continuous.shape, generator=torch.Generator().manual_seed(0))
    values = [nats(continuous + amount * noise) for amount in (0.0, 0.1, 0.3, 1.0)]
    assert values == sorted(values) and values[0] < 0.8 * values[-1]
    normalised = (continuous - continuous.mean(2, keepdim=True)) / deviation
    assert nats(normalised) > values[0]
