"""The network that judges borders: wrong texts, its fit, and the one that ships."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from ns2.model.aligner.border_evidence import EVIDENCE
from ns2.model.aligner.confidence import BorderNet
from ns2.pipeline.align.aligner_file import AlignerInit
from ns2.pipeline.align.border_confidence import WEIGHTS, border_net
from ns2.train.bundled import make_border_confidence
from ns2.train.bundled.aligner_people.surroundings import worn
from ns2.train.bundled.border_trust import fitting
from ns2.train.bundled.border_trust.changes import CHANGES
from ns2.train.bundled.border_trust.fitting import Borders, borders_of, fitted, reliability
from ns2.train.bundled.border_trust.judged import Corpus, Judged, ids_of
from ns2.train.bundled.border_trust.told import (
    NOWHERE,
    Told,
    Word,
    renamed,
    tokens_of,
    told,
    words_drawn,
)
from ns2.train.bundled.labelled_speech import SAMPLE_RATE, spoil
from ns2.train.bundled.make_border_confidence import (
    CORPORA,
    LANGUAGES,
    SEED,
    WITHOUT,
    Spec,
    counted,
    spoken,
    spoken_by_festival,
    write_net,
)
from ns2.train.bundled.make_border_confidence import drawn as drawn_spec
from tests.support.festival import needs_festival

VOICES = ("m1", "f5", "klatt")
"""Voices that trained no network."""


def word(phones: str, start: float) -> Word:
    starts = tuple(start + i for i in range(len(phones)))
    return Word(tuple(phones), starts, start + len(phones))


def test_words_lie_where_they_are_spoken() -> None:
    found = told("She sells, sea shells", "en-us", 160, 50)
    assert found is not None and len(found.words) == 4
    for one, following in zip(found.words, found.words[1:], strict=False):
        assert one.starts == tuple(sorted(one.starts))
        assert one.starts[-1] < one.end <= following.starts[0]
    tokens, starts = tokens_of(found.words)
    assert tokens.count("|") == 3 and tokens[0] == tokens[-1] == "<sil>"
    assert starts[tokens.index("|")] == found.words[0].end
    pause = found.words[2].starts[0] - found.words[1].end
    assert pause > 0.1  # the comma


def test_what_nobody_says_has_no_borders() -> None:
    words = [word("abc", 0), word("de", 3), word("fghi", 5), word("kl", 9)]
    others = [word("vwx", 0), word("yz", 0), word("uvwx", 0)]
    rng = random.Random(0)
    for kind, (_, change) in CHANGES.items():
        found = change(words, others, rng)
        _, starts = tokens_of(found)
        spoken_words = [one for one in found if NOWHERE not in one.starts]
        assert [one.starts for one in spoken_words] == [
            one.starts for one in words if one.starts in {w.starts for w in spoken_words}
        ]
        unspoken = len(found) - len(spoken_words)
        expected = {"swapped": {4}, "exchanged": {1}, "inserted": {1, 2, 3}}.get(kind, {0})
        assert unspoken in expected
        assert np.isinf(starts).any() == bool(unspoken)
        assert (len(found) < 4) == (kind == "omitted") and (len(found) > 4) == (kind == "inserted")
    assert sum(share for share, _ in CHANGES.values()) == pytest.approx(1)


def drawn(rng: np.random.Generator, count: int) -> Borders:
    """Borders whose probability of being wrong is known: it hangs on two kinds of evidence."""
    evidence = rng.normal(size=(count, len(EVIDENCE))).astype(np.float32)
    wrong = rng.random(count) < 1 / (1 + np.exp(-2 * evidence[:, 0] - evidence[:, 3]))
    return evidence, wrong.astype(float), np.full(count, 1 / count)


def test_a_fit_says_probabilities(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    net = fitted([drawn(rng, 20_000)], seed=0)
    write_net(net, tmp_path / "net.json")
    read = border_net(tmp_path / "net.json")
    evidence, wrong, weight = drawn(rng, 20_000)
    np.testing.assert_allclose(net.confidence(evidence), read.confidence(evidence), atol=5e-3)
    rows = reliability(read.confidence(evidence), wrong, weight)
    assert len(rows) == 10 and sum(row[0] for row in rows) == pytest.approx(1)
    assert max(abs(said - true) for _, said, true in rows) < 0.05


def test_corpora_that_were_left_out_say_how_sure_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that learned from little are far too sure; what they said of the rest mends that."""
    monkeypatch.setattr(fitting, "_BATCH", 512)  # shorter, and as sure
    monkeypatch.setattr(fitting, "_NETWORKS", 1)
    rng = np.random.default_rng(1)
    corpora = [drawn(rng, 150) for _ in range(8)]
    evidence, wrong, weight = drawn(rng, 20_000)
    one = np.concatenate([c[0] for c in corpora]), np.concatenate([c[1] for c in corpora])
    alone = fitted([(*one, np.full(len(one[1]), 1 / len(one[1])))], seed=0)

    def off(net: BorderNet) -> float:
        rows = reliability(net.confidence(evidence), wrong, weight)
        return max(abs(said - true) for _, said, true in rows)

    assert off(alone) > 0.15 and off(fitted(corpora, seed=0)) < 0.08


def test_phones_go_by_the_names_of_others_throughout() -> None:
    corpus = [
        Told(np.zeros(9, np.float32), (word("abc", 0), word("de", 3))),
        Told(np.ones(9, np.float32), (word("acd", 0),)),
    ]
    assert renamed(corpus, 0, random.Random(0)) == corpus
    found = renamed(corpus, 2, random.Random(0))
    names: dict[str, set[str]] = {}
    for one, other in zip(corpus, found, strict=True):
        assert one.wave is other.wave
        for before, after in zip(one.words, other.words, strict=True):
            assert (before.starts, before.end) == (after.starts, after.end)
            for phone, name in zip(before.phones, after.phones, strict=True):
                names.setdefault(phone, set()).add(name)
    assert sum(names[phone] != {phone} for phone in names) == 2
    assert all(len(found) == 1 for found in names.values())


def test_corpora_of_all_kinds_are_drawn() -> None:
    specs = [drawn_spec(random.Random(SEED + number)) for number in range(CORPORA)]
    assert {spec.language for spec in specs if not spec.festival} == set(LANGUAGES)
    assert {spec.language for spec in specs if spec.festival} == {"en-us", "it", "ca", "fi", "cs"}
    assert 0.15 < np.mean([spec.festival for spec in specs]) < 0.35
    assert min(spec.utterances for spec in specs) < 24 < 96 < max(s.utterances for s in specs)
    renamed_share = np.mean([spec.renamed > 0 for spec in specs])
    assert 0.3 < renamed_share < 0.7 and {spec.wear for spec in specs} == {None, worn, spoil}


def test_some_corpora_have_aligners_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that heard of none calls wrong texts right where there is none."""
    inits = []

    def corpus(told: object, init: AlignerInit, seed: int) -> Corpus:
        inits.append(init)
        return Corpus([], "none", seed)

    monkeypatch.setattr(make_border_confidence, "Corpus", corpus)
    monkeypatch.setattr(make_border_confidence, "spoken", lambda spec, seed: iter(()))
    monkeypatch.setattr(make_border_confidence, "spoken_by_festival", lambda spec, seed: iter(()))
    for number in (0, CORPORA - 1, CORPORA, CORPORA + WITHOUT - 1):
        with pytest.raises(ValueError, match="at least one utterance"):
            list(make_border_confidence._judged(number))
    assert inits == ["bundled", "bundled", "none", "none"]


def test_corpora_count_by_their_sizes() -> None:
    small, large = ((np.zeros((10, 1)), np.full(10, w), np.full(10, 0.1)) for w in (1.0, 0.0))
    found = [counted(small, 12), counted(large, 36)]
    shares = [weight.sum() for _, _, weight in found]
    assert shares[1] / shares[0] == pytest.approx(3)
    assert [one[1][0] for one in found] == [1, 0]


def test_words_are_drawn_from_phones_in_a_row() -> None:
    sounds = [(0.0, ""), *((0.1 * i, "abcdefgh"[i]) for i in range(1, 6)), (0.6, ""), (0.9, "z")]
    words = [*words_drawn(sounds, 1.0, random.Random(1))]
    assert [phone for word in words for phone in word.phones] == [*"bcdefz"]
    starts = [start for word in words for start in word.starts]
    assert starts == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.9])
    assert words[-1].end == 1.0 and words[-2].end == 0.6  # where the pause begins
    assert all(word.end >= word.starts[-1] for word in words) and len(words) > 2


@needs_festival("czech_ph")
def test_festival_speaks_corpora_too() -> None:
    spec = Spec("cs", worn, utterances=5, voices=2, festival=True)
    corpus = [*spoken_by_festival(spec, 3)]
    assert 3 < len(corpus) <= 6  # some can not be spoken
    for one in corpus:
        assert ids_of(one.words) is not None and len(one.words) > 2
        assert one.words[-1].end <= len(one.wave) / SAMPLE_RATE + 1e-6


def test_each_kind_of_text_has_its_share() -> None:
    def judged(kind: str, count: int) -> Judged:
        phone = np.ones(count, bool)
        wrong = np.array([np.nan, *[float(kind == "swapped")] * (count - 1)])
        evidence = np.zeros((count, len(EVIDENCE)))
        return Judged(
            kind=kind, evidence=evidence, wrong=wrong, phone=phone, word=phone * 0, unspoken=~phone
        )

    evidence, wrong, weight = borders_of([judged("right", 6), judged("swapped", 101)])
    assert len(evidence) == len(wrong) == 105
    shares = {kind: share for kind, (share, _) in CHANGES.items()}
    expected = shares["swapped"] / (shares["swapped"] + shares["right"])
    assert weight @ wrong == pytest.approx(expected)


def test_other_evidence_needs_another_network(tmp_path: Path) -> None:
    found = json.loads(WEIGHTS.read_text("utf-8"))
    assert "espeak-ng" in found["credits"]
    other = tmp_path / "net.json"
    other.write_text(json.dumps({**found, "evidence": ["something"]}), "utf-8")
    with pytest.raises(ValueError, match="other evidence"):
        border_net(other)


@pytest.mark.parametrize(
    ("init", "right", "exchanged", "swapped"),
    [("bundled", 0.03, 0.05, 0.1), ("none", 0.05, 0.1, 0.15)],
)
def test_the_one_that_ships_is_right_about_voices_that_it_does_not_know(
    init: AlignerInit, right: float, exchanged: float, swapped: float
) -> None:
    """Sixteen sentences in voices that trained nothing, with right and with wrong texts."""
    told = [*spoken(Spec("en-us", None, utterances=16, voices=3), 7, VOICES)]
    judged = [*Corpus(told, init, 7).judged()]
    net: BorderNet = border_net()

    def said(kind: str) -> tuple[float, float]:
        chosen = [one for one in judged if one.kind == kind]
        confidence = np.concatenate([net.confidence(one.evidence) for one in chosen])
        wrong = np.concatenate([one.wrong for one in chosen])
        known = np.isfinite(wrong)
        return float(1 - confidence[known].mean()), float(wrong[known].mean())

    for kind, near in (("right", right), ("exchanged", exchanged), ("swapped", swapped)):
        expected, true = said(kind)
        assert expected == pytest.approx(true, abs=near), kind
    hits = []
    for one in judged:
        if one.kind == "exchanged":
            wrong = np.log(1 / net.confidence(one.evidence)[one.phone] - 1)
            number = one.word[one.phone]
            worst = (np.bincount(number, wrong + 6) / (np.bincount(number) + 1)).argmax()
            hits.append(one.unspoken[one.phone][number == worst].all())
    assert np.mean(hits) > (0.8 if init == "bundled" else 0.5)
