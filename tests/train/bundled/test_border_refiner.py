"""The network that moves borders: what it learns from, its maker, and the one that ships."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from ns2.model.aligner.alignment import align
from ns2.model.aligner.evidence import QUIET
from ns2.model.aligner.refinement import ENGINES, MOST, REACH, BorderRefiner, BorderViews
from ns2.pipeline.align.aligner_file import default_config
from ns2.pipeline.align.bundled_network import (
    HEADER,
    bundled_network,
    network_file,
    network_of,
    refiner_file,
    unrefined_network,
)
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.train.bundled import make_border_refiner
from ns2.train.bundled.border_trust.judged import ids_of, mel_transform, trained
from ns2.train.bundled.border_trust.told import tokens_of, told_of
from ns2.train.bundled.labelled_speech import HOP, SAMPLE_RATE, labelled, sentence
from ns2.train.bundled.make_border_refiner import (
    JITTER,
    Learned,
    drawn,
    kept,
    learn,
    main,
    spoken,
    targets,
)
from tests.support.festival import needs_festival

VOICES = ("m1", "f5", "klatt", "steph")
"""Voices that trained no network."""
ESPEAK, FESTIVAL = range(ENGINES)


def some_borders(rng: np.random.Generator, count: int) -> Learned:
    """Borders where the sound changes, at random moments from -3 to 3 frames away; seen is which of
    the two sounds there is."""
    off = torch.from_numpy(rng.integers(-3, 4, count))
    reach = REACH + JITTER
    frames = torch.arange(-reach, reach).expand(count, -1)
    side = torch.where(frames < off[:, None], 1.0, -1.0)
    heard = torch.stack([side, side, -side, (frames == off[:, None]).float()], 1)
    views = BorderViews(
        heard=heard.half(),
        frames=torch.full((count, 2), 8),
        phones=torch.from_numpy(rng.integers(0, 5, (count, 2))),
        trust=torch.full((count,), 0.5).half(),
    )
    return Learned(views=views, off=off.float(), engine=torch.arange(count) % ENGINES)


def test_a_border_between_two_frames_belongs_to_both() -> None:
    found = targets(torch.tensor([0.0, 1.25, -9.0, 3.5]))
    assert found.sum(1).tolist() == [1, 1, 1, 1]
    assert found[0, MOST] == 1 and found[1, MOST + 1 : MOST + 3].tolist() == [0.75, 0.25]
    assert found[2, 0] == 1 and found[3, MOST + 3 :].tolist() == [0.5, 0.5]


def test_what_is_moved_is_seen_from_there() -> None:
    rng = np.random.default_rng(0)
    found = drawn(some_borders(rng, 50), 400, rng)
    assert found.views.heard.shape == (400, 4, 2 * REACH)
    began = found.views.heard[:, 3].argmax(1) - REACH
    assert torch.equal(began.float(), found.off)
    lengths = found.views.frames
    assert (lengths.sum(1) == 16).all() and set(lengths[:, 0].tolist()) == set(range(6, 11))
    assert 0.3 < (lengths[:, 0] == 8).float().mean() < 0.8
    assert 0.02 < (found.views.phones == -1).float().mean() < 0.25
    assert {*found.engine.tolist()} == {ESPEAK, FESTIVAL}


def test_it_learns_where_borders_are() -> None:
    rng = np.random.default_rng(1)
    torch.manual_seed(0)
    refiner = BorderRefiner(16, 5)
    learn(refiner, [some_borders(rng, 500) for _ in range(4)], steps=200)
    test = drawn(some_borders(rng, 300), 300, rng)
    found = refiner(test.views, test.engine).argmax(1) - MOST
    assert (found == test.off.clamp(-MOST, MOST)).float().mean() > 0.9
    assert not any(value.requires_grad for value in refiner.parameters())


def test_corpora_are_spoken_as_they_are_recorded() -> None:
    kinds = set()
    for seed in range(6):
        told = spoken(random.Random(seed), seed, ESPEAK)
        words = np.mean([sum(len(word.phones) for word in one.words) for one in told])
        kinds.add(bool(words < 12))
        assert len(told) >= 20
        for one in told[:3]:
            assert one.words[0].starts[0] >= 0 and np.isfinite(one.wave).all()
    assert kinds == {True, False}  # words alone, and sentences


def test_a_corpus_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(make_border_refiner, "_SIZES", (4,))
    monkeypatch.setattr(make_border_refiner, "_FESTIVAL", 0)
    first = kept(tmp_path, 0, 0.0)
    assert (first.engine == ESPEAK).all() and (first.off.abs() <= 5).all()
    assert first.views.heard.shape == (len(first.off), 4, 2 * (REACH + JITTER))
    made = next(tmp_path.glob("corpus0*")).stat()
    again = kept(tmp_path, 0, 0.0)
    assert next(tmp_path.glob("corpus0*")).stat() == made and torch.equal(first.off, again.off)
    out = tmp_path / "refiner.safetensors"
    main([str(tmp_path), "--out", str(out), "--corpora", "1", "--steps", "3"])
    again_out = tmp_path / "again.safetensors"
    main([str(tmp_path), "--out", str(again_out), "--corpora", "1", "--steps", "3"])
    assert out.read_bytes() == again_out.read_bytes()


@needs_festival("ked_diphone")
def test_festival_speaks_corpora_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_border_refiner, "HEARD", ("ked_diphone",))
    monkeypatch.setattr(make_border_refiner, "_SIZES", (3,))
    told = spoken(random.Random(1), 1, FESTIVAL)
    assert told and all(one.words for one in told)


def test_the_one_that_ships_belongs_to_the_network() -> None:
    phones = network_of(network_file("bundled").read_bytes())[1]
    tensors = load_file(refiner_file())
    assert len(tensors["before.weight"]) == len(phones) + 1 and phones[QUIET] == ""
    with safe_open(refiner_file(), "pt") as file:
        assert "Festival" in file.metadata()[HEADER]
    assert refiner_file().stat().st_size < 100_000
    assert unrefined_network(PhonemeTable.default(), "bundled").refiner is None
    assert bundled_network(PhonemeTable.default(), "bundled-1").refiner is None


def test_the_one_that_ships_comes_nearer_in_voices_that_it_does_not_know() -> None:
    rng, examples, truth = random.Random(3), [], []
    while len(examples) < 40:
        text, voice = sentence(rng, "en-us"), f"en-us+{rng.choice(VOICES)}"
        one = labelled(text, "en-us", voice, rng.randint(140, 190), 50, 1.0)
        if one is None:
            continue
        told = told_of(one, rng)
        ids = ids_of(told.words)
        if ids is not None:
            examples.append((mel_transform()(torch.from_numpy(told.wave)).half(), ids))
            truth.append(tokens_of(told.words)[1] * SAMPLE_RATE / HOP)
    network = bundled_network(PhonemeTable.default())
    aligner = trained(examples, network, default_config())
    off: dict[bool, list[float]] = {}
    for with_it in (False, True):
        aligner.refiner = network.refiner if with_it else None
        for example, starts in zip(examples, truth, strict=True):
            durations = align(aligner, *example).durations
            found = (durations.cumsum(0) - durations).numpy()
            phones = ~aligner.optional[example[1]].numpy()
            off.setdefault(with_it, []).extend(np.abs(found - starts)[phones][1:])
    assert len(off[True]) > 1000
    assert np.mean(off[True]) < 0.98 * np.mean(off[False])
