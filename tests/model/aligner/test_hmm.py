"""The aligner, on made spectra whose borders are exact and on speech of known truth."""

from __future__ import annotations

import itertools
import os
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import pytest
import torch

from ns2.model.aligner.alignment import align
from ns2.model.aligner.confidence import token_confidence
from ns2.model.aligner.expectation import train_aligner
from ns2.model.aligner.hmm import AlignerConfig, aligner_from_tensors, aligner_to_tensors, cepstra
from ns2.model.aligner.monotonic import NoPathError
from ns2.pipeline.align.border_confidence import border_net
from ns2.pipeline.core.schema import FrameGrid
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, VOICES, WORD, speak
from ns2.pipeline.tools.align_eval.against_truth import report
from ns2.pipeline.tools.align_eval.compared import compare
from ns2.pipeline.tools.align_eval.truth import Truth

SILENT = ("<sil>", "|", ",")
"""Ids 0 to 2 in these tests; phones follow, three ids each, one a stress."""
QUICK = AlignerConfig(passes=4, early_passes=0)
Example = tuple[torch.Tensor, torch.Tensor]


def layout(phones: int) -> dict[str, torch.Tensor]:
    """`phone_of` and `optional` of the silent symbols and of this many phones."""
    ids = torch.arange(len(SILENT) + 3 * phones)
    phone_of = torch.where(ids < len(SILENT), ids, len(SILENT) + (ids - len(SILENT)) // 3)
    return {"phone_of": phone_of, "optional": ids < len(SILENT)}


def made_example(seed: int, phones: int) -> tuple[Example, np.ndarray]:
    """Words of two or three phones, each a fixed spectrum with noise; every other border pauses."""
    spectra = np.random.default_rng(0).normal(size=(phones + 1, 80)) * 1.5
    spectra[0] -= 4.0
    rng = np.random.default_rng(seed)
    tokens, durations = [0], [int(rng.integers(5, 15))]
    for word in range(6):
        if word:
            tokens.append(1)
            durations.append(int(rng.integers(6, 20)) if rng.random() < 0.5 else 0)
        for _ in range(rng.integers(2, 4)):
            # Never one phone twice in a row, not even across a border: nobody could part them.
            choice = [p for p in range(phones) if 3 + 3 * p not in tokens[-2:]]
            tokens.append(3 + 3 * int(rng.choice(choice)))
            durations.append(int(rng.integers(2, 12)))
    tokens.append(0)
    durations.append(int(rng.integers(5, 15)))
    owner = np.repeat([0 if t < 3 else 1 + (t - 3) // 3 for t in tokens], durations)
    mel = spectra[owner].T + rng.normal(size=(80, len(owner))) * 0.5
    return (torch.tensor(mel.astype(np.float16)), torch.tensor(tokens)), np.array(durations)


def test_finds_the_borders_of_made_spectra_to_the_frame() -> None:
    cases = [made_example(seed, 5) for seed in range(30)]
    aligner = train_aligner([example for example, _ in cases], AlignerConfig(), **layout(5))
    wrong = sum(
        int(np.abs(np.cumsum(align(aligner, *example).durations.numpy()) - np.cumsum(truth)).sum())
        for example, truth in cases
    )
    assert wrong == 0


def test_features_are_symmetric_in_time() -> None:
    config = AlignerConfig()
    mel = torch.randn(80, 30, generator=torch.Generator().manual_seed(0))
    forward, backward = cepstra(mel, config), cepstra(mel.flip(1), config).flip(0)
    torch.testing.assert_close(forward[:, :20], backward[:, :20])
    torch.testing.assert_close(forward[:, 20:], -backward[:, 20:])


@dataclass(frozen=True)
class Spoken:
    """A spoken corpus: examples, token strings and truth by key, and ids by symbol."""

    examples: dict[str, Example]
    tokens: dict[str, list[str]]
    truth: list[dict[str, object]]
    ids: dict[str, int]


@cache
def spoken() -> Spoken:
    """40 sentences in seven voices."""
    import soxr

    from ns2.model.log_mel import LogMel, MelConfig

    transform = LogMel(MelConfig())
    mels, tokens, truth = {}, {}, []
    for i, (text, voice) in enumerate(zip(SENTENCES[:40], itertools.cycle(VOICES), strict=False)):
        samples, rate, phones = speak(text, voice, 150 + 7 * (i % 7), 40 + 3 * (i % 8))
        wave = soxr.resample(samples.astype(np.float32) / 32768, rate, 24_000)
        mels[text] = transform(torch.from_numpy(wave.astype(np.float32))).half()
        tokens[text] = spelled(phones)
        truth.append({"key": text, "sample_rate": rate, "phones": phones})
    heard = sorted({t.lstrip("ˈˌ") for row in tokens.values() for t in row} - set(SILENT))
    ids = {symbol: i for i, symbol in enumerate(SILENT)}
    ids |= {
        stress + phone: len(SILENT) + 3 * i + s
        for i, phone in enumerate(heard)
        for s, stress in enumerate(("", "ˈ", "ˌ"))
    }
    examples = {key: (mels[key], torch.tensor([ids[t] for t in tokens[key]])) for key in tokens}
    return Spoken(examples=examples, tokens=tokens, truth=truth, ids=ids)


def spelled(phones: list[tuple[int, str]]) -> list[str]:
    """Tokens as the pipeline makes them: borders between words, a mark where it pauses."""
    tokens = ["<sil>"]
    for _, ipa in phones:
        if ipa == WORD and tokens[-1] not in SILENT:
            tokens.append("|")
        elif ipa == "":
            tokens = [*(tokens if tokens[-1] not in SILENT else tokens[:-1]), ","]
        elif ipa != WORD:
            tokens.append(ipa)
    return [*tokens, "<sil>"]


@cache
def trained_state() -> tuple[AlignerConfig, dict[str, torch.Tensor]]:
    corpus = spoken()
    aligner = train_aligner(
        list(corpus.examples.values()), AlignerConfig(), **layout(len(corpus.ids) // 3 - 1)
    )
    return aligner.config, aligner_to_tensors(aligner)


def test_boundaries_of_speech_are_near_the_truth() -> None:
    corpus = spoken()
    aligner = aligner_from_tensors(*trained_state())
    found = {
        key: (corpus.tokens[key], align(aligner, *example).durations.numpy())
        for key, example in corpus.examples.items()
    }
    for key, (mel, tokens) in corpus.examples.items():
        durations = found[key][1]
        assert durations.sum() == mel.shape[1]
        assert (durations[tokens.numpy() >= len(SILENT)] >= 1).all()
    told = report(map(Truth.of, corpus.truth), found, SILENT)
    assert told["utterances"]["compared"] == 40 and told["overall"]["phones"] > 800
    errors = told["overall"]
    assert errors["mean"] * 3 < errors["even"]["mean"], errors
    assert errors["mean"] < 20 and abs(errors["signed"]) < 8, errors


def test_score_tells_wrong_transcripts() -> None:
    corpus = spoken()
    aligner = aligner_from_tensors(*trained_state())
    examples = list(corpus.examples.values())
    right = [align(aligner, mel, tokens).score for mel, tokens in examples]
    wrong = []
    for (mel, _), (_, tokens) in zip(examples, examples[1:] + examples[:1], strict=True):
        if int((tokens >= len(SILENT)).sum()) <= mel.shape[1]:
            wrong.append(align(aligner, mel, tokens).score)
    assert len(wrong) > 30 and max(right) <= 0
    assert np.mean(np.array(right)[:, None] > np.array(wrong)[None]) >= 0.98


def test_score_tells_other_faults() -> None:
    """Noise, tones, missing words and words too many; scores of most faults lie far apart."""
    from ns2.model.log_mel import LogMel, MelConfig

    corpus = spoken()
    aligner = aligner_from_tensors(*trained_state())
    rng, transform = np.random.default_rng(0), LogMel(MelConfig())
    scores: dict[str, list[float]] = {"right": []}
    for mel, tokens in corpus.examples.values():
        samples, half, end = 320 * mel.shape[1], len(tokens) // 2, tokens[-1:]
        time = np.arange(samples) / 24_000
        on = np.repeat(rng.random(samples // 4800 + 1) < 0.8, 4800)[:samples]
        keys = np.repeat(rng.integers(0, 36, samples // 6000 + 1), 6000)[:samples]
        pitches = [110 * 2 ** ((keys + step) / 12) for step in (0, 4, 7)]
        chord = sum(
            np.sin(2 * np.pi * h * np.cumsum(p) / 24_000) / h for p in pitches for h in (1, 2)
        )
        faults = {
            "noise": (rng.normal(size=samples) * on, tokens),
            "chords": (chord * (1 + np.cos(8 * np.pi * time)), tokens),
            "half": (None, torch.cat([tokens[:half], end])),
            "extra": (None, torch.cat([tokens, tokens[:half], end])),
        }
        scores["right"].append(align(aligner, mel, tokens).score)
        for name, (wave, said) in faults.items():
            sound = torch.from_numpy(0.05 * wave).float() if wave is not None else None
            heard = mel if sound is None else transform(sound).half()
            if int((said >= len(SILENT)).sum()) <= heard.shape[1]:
                scores.setdefault(name, []).append(align(aligner, heard, said).score)
    right = np.array(scores.pop("right"))
    for name, wrong in scores.items():
        assert len(wrong) > 30
        assert np.mean(right[:, None] > np.array(wrong)) >= 0.98, name


def ranks(values: np.ndarray) -> np.ndarray:
    """Mean rank among equals."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean: np.ndarray = np.cumsum(counts) - (counts - 1) / 2
    return mean[place]


def test_borders_of_low_confidence_are_worse() -> None:
    corpus = spoken()
    aligner = aligner_from_tensors(*trained_state())
    wrong, sure = [], []
    for row in map(Truth.of, corpus.truth):
        mel, tokens = corpus.examples[row.key]
        aligned = align(aligner, mel, tokens, evidence=True)
        assert aligned.evidence is not None
        durations = aligned.durations.numpy()
        confidence = token_confidence(border_net().confidence(aligned.evidence), durations)
        found = (corpus.tokens[row.key], aligned.durations.numpy())
        compared = compare(row, found, frozenset(SILENT), FrameGrid())
        assert compared is not None and compared.agrees
        wrong.append(np.abs(compared.errors))
        sure.append(confidence[(tokens >= len(SILENT)).numpy()][1:])
    errors, sures = np.concatenate(wrong), np.concatenate(sure)
    assert np.corrcoef(ranks(errors), ranks(sures))[0, 1] < -0.1
    least = sures < np.quantile(sures, 0.1)
    assert errors[least].mean() > 1.4 * errors[~least].mean()


def test_symbols_that_were_never_heard() -> None:
    corpus = spoken()
    config, tensors = trained_state()
    aligner = aligner_from_tensors(config, tensors)
    for mel, tokens in list(corpus.examples.values())[:10]:
        known = align(aligner, mel, tokens)
        # Another stress of the same phone is the same sound.
        phone = (tokens - 3) // 3
        other = torch.where(tokens < 3, tokens, 3 + 3 * phone + (tokens + 1) % 3)
        assert torch.equal(align(aligner, mel, other).durations, known.durations)
        # An unheard phone in the middle of an utterance moves nothing but its own borders.
        place = int(torch.nonzero(tokens >= 3)[len(phone) // 3])
        tensors_without = {**tensors, "class_of": tensors["class_of"].clone()}
        tensors_without["class_of"][tokens[place]] = 1
        stranger = aligner_from_tensors(config, tensors_without)
        starts = known.durations.cumsum(0)
        moved = (align(stranger, mel, tokens).durations.cumsum(0) - starts).abs()
        moved[(tokens == tokens[place]).nonzero().flatten()] = 0
        moved[(tokens == tokens[place]).nonzero().flatten() - 1] = 0
        assert moved.double().mean() < 1.0


def test_ids_outside_the_sample_get_the_class_of_their_phone_or_of_speech() -> None:
    cases = [made_example(seed, 3)[0] for seed in range(6)]
    aligner = train_aligner(cases, QUICK, **layout(5))
    classes = aligner.class_of.tolist()
    assert classes == [0, 0, 0, 2, 2, 2, 3, 3, 3, 4, 4, 4, 1, 1, 1, 1, 1, 1]
    assert align(aligner, cases[0][0], torch.tensor([0, 14, 17, 0])).durations[1:3].min() >= 1


def test_training_and_alignment_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [made_example(seed, 5)[0] for seed in range(12)]
    before = torch.get_num_threads()
    states, durations = [], []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=threads: set(range(n)))
            aligner = train_aligner(cases, QUICK, seed=3, **layout(5))
            states.append(aligner_to_tensors(aligner))
            durations.append(torch.cat([align(aligner, *case).durations for case in cases]))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for state, found in zip(states[1:], durations[1:], strict=True):
        assert all(torch.equal(state[name], states[0][name]) for name in states[0])
        assert torch.equal(found, durations[0])


def test_large_samples_start_on_a_part_and_report_progress() -> None:
    cases = [made_example(seed, 5)[0] for seed in range(12)]
    seen: list[tuple[int, int, float]] = []
    config = AlignerConfig(passes=4, early_passes=2, early_frames=270)
    train_aligner(cases, config, progress=lambda *step: seen.append(step), **layout(5))
    assert [(done, total) for done, total, _ in seen] == [(i, 4) for i in range(1, 5)]
    assert seen[-1][2] < seen[0][2]


def test_saved_and_loaded_aligner_is_the_same() -> None:
    cases = [made_example(seed, 5)[0] for seed in range(6)]
    aligner = train_aligner(cases, QUICK, **layout(5))
    config = AlignerConfig(**asdict(aligner.config))
    again = aligner_from_tensors(config, aligner_to_tensors(aligner))
    assert again.config == aligner.config
    one, two = align(aligner, *cases[0]), align(again, *cases[0])
    assert torch.equal(one.durations, two.durations) and one.score == two.score
    with pytest.raises(ValueError, match="not the weights"):
        aligner_from_tensors(config, {"class_of": torch.zeros(3)})
    with pytest.raises(ValueError, match="not the weights"):
        aligner_from_tensors(AlignerConfig(cepstra=10), aligner_to_tensors(aligner))


def test_as_many_frames_as_phones_and_digital_silence_are_aligned() -> None:
    cases = [made_example(seed, 5)[0] for seed in range(6)]
    flat = (torch.full((80, 40), -11.5), torch.tensor([0, 3, 6, 1, 9, 0]))
    aligner = train_aligner([*cases, flat], QUICK, **layout(5))
    tokens = torch.tensor([0, 3, 6, 1, 9, 12, 0])
    assert align(aligner, cases[0][0][:, :4], tokens).durations.tolist() == [0, 1, 1, 0, 1, 1, 0]
    assert int(align(aligner, *flat).durations.sum()) == 40
    assert align(aligner, cases[0][0], torch.tensor([0, 1, 0])).durations.sum() == len(
        cases[0][0].T
    )


def test_bad_input_is_refused() -> None:
    cases = [made_example(seed, 5)[0] for seed in range(6)]
    mel, tokens = cases[0]
    aligner = train_aligner(cases, QUICK, **layout(5))
    phones = int((tokens >= 3).sum())
    with pytest.raises(NoPathError, match=f"{phones} phones need as many frames, got 5"):
        align(aligner, mel[:, :5], tokens)
    with pytest.raises(ValueError, match=r"expected a mel of \(80, T\)"):
        align(aligner, mel[:40], tokens)
    with pytest.raises(ValueError, match=r"token ids must lie in \[0, 18\)"):
        align(aligner, mel, torch.tensor([0, 18]))
    with pytest.raises(ValueError, match="not finite"):
        align(aligner, mel * torch.nan, tokens)
    with pytest.raises(ValueError, match="at least one utterance"):
        train_aligner([], QUICK, **layout(5))
    with pytest.raises(ValueError, match="example 1: "):
        train_aligner([cases[0], (mel[:, :5], tokens)], QUICK, **layout(5))
    with pytest.raises(ValueError, match="cepstra"):
        AlignerConfig(cepstra=81)
