"""Borders that are moved after the search: what is seen of them, and where they go."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from ns2.model.aligner.alignment import align, evidence_of, views_of
from ns2.model.aligner.evidence import QUIET, FrameNet
from ns2.model.aligner.expectation import Pretrained, train_aligner
from ns2.model.aligner.hmm import Aligner, AlignerConfig, aligner_from_tensors, aligner_to_tensors
from ns2.model.aligner.refinement import (
    ENGINES,
    MOST,
    REACH,
    BorderRefiner,
    refined,
    refiner_from_tensors,
)

MOVES = range(-MOST, MOST + 1)
MELS, PHONES = 8, 6


def surely(*moves: int) -> Tensor:
    """Log-probabilities (B, O) of borders that are surely so many frames away."""
    probability = torch.full((len(moves), len(MOVES)), 1e-9)
    for border, move in enumerate(moves):
        probability[border, move + MOST] = 1
    return probability.log()


def by_both(*moves: int) -> Tensor:
    return torch.stack([surely(*moves)] * ENGINES)


def moved(durations: list[int], log_probs: Tensor, silent: list[bool], most: int = 1) -> list[int]:
    found = refined(torch.tensor(durations), log_probs, torch.tensor(silent), most=most)
    assert found.sum() == sum(durations) and (found >= 1).all()
    return found.tolist()


def test_a_border_goes_where_both_engines_put_it() -> None:
    assert moved([5, 5, 5], by_both(0, 0), [False] * 3) == [5, 5, 5]
    assert moved([5, 5, 5], by_both(1, -1), [False] * 3) == [6, 3, 6]
    only_one = torch.stack([surely(1, 0), surely(0, 0)])
    assert moved([5, 5, 5], only_one, [False] * 3) == [5, 5, 5]
    opposite = torch.stack([surely(1, -1), surely(-1, -1)])
    assert moved([5, 5, 5], opposite, [False] * 3) == [5, 4, 6]


def test_borders_of_silence_go_farther() -> None:
    far = by_both(3, 3)
    assert moved([5, 5, 5], far, [False] * 3) == [6, 5, 4]
    assert moved([5, 5, 5], far, [True, False, False]) == [8, 3, 4]
    assert moved([5, 5, 5], far, [True, False, False], most=0) == [8, 2, 5]
    # there the mean of the engines counts, not the one that says least
    one = torch.stack([surely(4), surely(2)])
    assert moved([5, 9], one, [False, True])[0] in (7, 8, 9)


def test_every_token_keeps_a_frame() -> None:
    assert moved([1, 1, 1], by_both(-1, 1), [False] * 3) == [1, 1, 1]
    assert moved([2, 1, 9], by_both(4, 0), [True, False, False]) in ([2, 1, 9], [3, 1, 8])
    assert moved([3, 1, 1, 9], by_both(4, 4, 4), [True] * 4) == [7, 1, 1, 5]


@pytest.mark.parametrize("seed", range(20))
def test_no_other_moves_are_cheaper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_probs = torch.log_softmax(torch.from_numpy(2 * rng.normal(size=(2, 3, len(MOVES)))), 2)
    durations, silent = rng.integers(1, 5, 4), rng.random(4) < 0.4
    found = moved(durations.tolist(), log_probs, silent.tolist())

    def error(engine: int, border: int, move: int) -> float:
        """The frames by which the border is expected to be off, less those without the move."""
        fewer = torch.tensor([abs(o - move) - abs(o) for o in MOVES]).double()
        return float(log_probs[engine, border].exp() @ fewer)

    def cost(moves: tuple[int, ...]) -> float:
        total = 0.0
        for border, move in enumerate(moves):
            errors = [error(engine, border, move) for engine in range(ENGINES)]
            beside = silent[border] or silent[border + 1]
            if not beside and abs(move) > 1:
                return np.inf
            total += sum(errors) / 2 if beside else max(errors)
        lengths = durations + np.diff([0, *moves, 0])
        return total if (lengths >= 1).all() else np.inf

    best = min(map(cost, itertools.product(MOVES, repeat=3)))
    chosen = tuple(np.cumsum(np.array(found) - durations)[:-1].tolist())
    assert cost(chosen) == pytest.approx(best, abs=1e-9)


def some_aligner(refiner: BorderRefiner | None = None) -> tuple[Aligner, Tensor, Tensor]:
    """An aligner with a network, a mel that it learned from, and its tokens; 0 is silence."""
    torch.manual_seed(0)
    network = FrameNet(MELS, 8, 4, PHONES).eval().requires_grad_(False)
    tokens = torch.tensor([0, 1, 2, 0, 3, 4, 0])
    frames = torch.repeat_interleave(torch.arange(7), torch.tensor([9, 7, 5, 6, 8, 4, 9]))
    mel = torch.randn(5, MELS)[tokens[frames]].T * 2 + 0.3 * torch.randn(MELS, len(frames))
    aligner = train_aligner(
        [(mel, tokens)],
        AlignerConfig(mels=MELS, cepstra=4, inner_moves=1),
        phone_of=torch.arange(5),
        optional=torch.arange(5) == 0,
        trained=Pretrained(network, torch.tensor([QUIET, 1, 2, -1, 4]), refiner),
    )
    return aligner, mel, tokens


def test_what_is_seen_lies_around_the_border() -> None:
    aligner, mel, tokens = some_aligner()
    durations = torch.tensor([9, 7, 5, 0, 14, 4, 9])
    views = views_of(aligner, mel, tokens, durations, REACH)
    assert views.heard.shape == (5, 4, 2 * REACH) and views.frames.tolist()[0] == [9, 7]
    assert views.phones.tolist() == [[QUIET, 1], [1, 2], [2, -1], [-1, 4], [4, QUIET]]
    output = aligner.analyse(mel)
    assert output is not None
    likelihoods = aligner.log_likelihoods(aligner.features(mel, output))
    wide = views_of(aligner, mel, tokens, durations, REACH + 2)
    assert torch.equal(wide.heard[:, :, 2:-2], views.heard)
    at = 16  # the second border: frames 10 to 21
    around = slice(at - REACH, at + REACH)
    one, two = (aligner.class_of[token] for token in (1, 2))
    contrast = (likelihoods[around, one] - likelihoods[around, two]) / 10
    torch.testing.assert_close(views.heard[1, 0], contrast.clamp(-8, 8))
    told = output.phones[around]
    torch.testing.assert_close(views.heard[1, 1], (told[:, 1] / 4).clamp(-2.5, 2.5))
    torch.testing.assert_close(views.heard[1, 2], (told[:, 2] / 4).clamp(-2.5, 2.5))
    torch.testing.assert_close(views.heard[1, 3], (output.border[around] / 3).clamp(-2.7, 2.7))
    assert (views.heard[2, 2] == 0).all()  # of a phone that the network does not know
    assert (views.trust == aligner.evidence.trust).all() if aligner.evidence else False
    alone = views_of(aligner, mel[:, :9], torch.tensor([0]), torch.tensor([9]), REACH)
    assert alone.heard.shape == (0, 4, 2 * REACH) and alone.phones.shape == (0, 2)
    # where the recording ends, its last frame goes on
    assert (wide.heard[-1, 3, -1] == wide.heard[-1, 3, REACH + 2 + 8 - 1 :]).all()


def test_an_aligner_moves_its_borders_and_knows_what_it_moved() -> None:
    plain, mel, tokens = some_aligner()
    torch.manual_seed(3)
    refiner = BorderRefiner(12, PHONES).eval().requires_grad_(False)
    refiner.layers[-1].bias[:] = torch.tensor([-9.0] * 5 + [9.0] + [-9.0] * 3)  # one frame later
    aligner, _, _ = some_aligner(refiner)
    before, after = align(plain, mel, tokens), align(aligner, mel, tokens, evidence=True)
    lasting = before.durations > 0
    ends = [one.durations[lasting].cumsum(0)[:-1] for one in (before, after)]
    assert torch.equal(ends[0] + 1, ends[1]) and after.durations.sum() == mel.shape[1]
    assert after.evidence is not None
    np.testing.assert_array_equal(
        after.evidence, evidence_of(aligner, mel, tokens, after.durations)
    )
    read = aligner_from_tensors(aligner.config, aligner_to_tensors(aligner))
    assert read.refiner is not None and plain.refiner is None
    assert torch.equal(align(read, mel, tokens).durations, after.durations)
    # one token alone has no border
    assert align(aligner, mel[:, :9], torch.tensor([0])).durations.tolist() == [9]


def test_weights_of_something_else_are_refused() -> None:
    tensors = BorderRefiner(12, PHONES).state_dict()
    assert refiner_from_tensors(tensors).layers[0].out_features == 12
    for lacking in tensors:
        with pytest.raises(ValueError, match="not the weights of a border refiner"):
            refiner_from_tensors({n: v for n, v in tensors.items() if n != lacking})


def test_phones_without_a_name_are_alike() -> None:
    aligner, mel, tokens = some_aligner()
    views = views_of(aligner, mel, tokens, torch.tensor([9, 7, 5, 0, 14, 4, 9]), REACH)
    refiner = BorderRefiner(12, PHONES).eval()
    with torch.no_grad():
        found = refiner.by_engines(views)
    assert found.shape == (ENGINES, 5, len(MOVES))
    torch.testing.assert_close(found.exp().sum(2), torch.ones(ENGINES, 5))
    assert not torch.allclose(found[0], found[1])
