"""Prompts are cut out of utterances between tokens; what is left is whole."""

from __future__ import annotations

import numpy as np
import pytest

from ns2.model.tts.batch import Example, collate
from ns2.model.tts.prompts import PromptConfig, cut_other, cut_prompt

CONFIG = PromptConfig()
BORDER = np.arange(40) < 5


def make(rng: np.random.Generator, tokens: int, longest: int = 30) -> Example:
    """An utterance whose frame i has code, pitch and phoneme that tell which frame it is."""
    phonemes = rng.integers(5, 40, tokens)
    phonemes[rng.random(tokens) < 0.2] = 2
    phonemes[[0, -1]] = 1
    durations = rng.integers(1, longest, tokens)
    durations[(phonemes < 5) & (rng.random(tokens) < 0.5)] = 0
    frames = int(durations.sum())
    return Example(
        codes=np.arange(frames)[None].repeat(2, 0),
        phonemes=phonemes,
        durations=durations,
        f0=np.arange(frames) + 100.0,
        seed=int(rng.integers(1 << 40)),
    )


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    rng = np.random.default_rng(0)
    return [make(rng, int(rng.integers(3, 90))) for _ in range(300)]


def test_prompt_and_target_share_no_frame_and_leave_none_out(examples: list[Example]) -> None:
    for example in examples:
        batch = collate([example], BORDER, CONFIG)
        target = batch.codes[0, 0, : batch.frames[0]].tolist()
        prompt = batch.prompt_codes[0, 0, : batch.prompt_frames[0]].tolist()
        assert sorted(target + prompt) == list(range(example.codes.shape[1]))
        if prompt:
            assert prompt == list(range(prompt[0], prompt[-1] + 1))  # one run
        assert batch.f0[0, : batch.frames[0]].tolist() == [100.0 + i for i in target]


def test_phonemes_of_the_target_are_whole(examples: list[Example]) -> None:
    for example in examples:
        batch = collate([example], BORDER, CONFIG)
        count = int(batch.tokens[0])
        durations = batch.durations[0, :count].numpy()
        phonemes = batch.phonemes[0, :count].numpy()
        assert durations.sum() == batch.frames[0]
        # every frame of the target still has the phoneme that it had
        of_frame = np.repeat(example.phonemes, example.durations)
        kept = batch.codes[0, 0, : batch.frames[0]].numpy()
        assert (np.repeat(phonemes, durations) == of_frame[kept]).all()
        # and no phoneme has lost a frame
        whole = dict(enumerate(example.durations))
        token_of_frame = np.repeat(np.arange(len(example.phonemes)), example.durations)
        tokens, frames = np.unique(token_of_frame[kept], return_counts=True)
        assert all(whole[token] == n for token, n in zip(tokens, frames, strict=True))


def test_lengths_are_those_allowed(examples: list[Example]) -> None:
    seen = []
    for example in examples:
        batch = collate([example], BORDER, CONFIG)
        frames, prompt = example.codes.shape[1], int(batch.prompt_frames[0])
        if frames < 150:
            assert prompt == 0
        elif prompt:
            assert 75 <= prompt <= min(375, frames // 2)
            seen.append(prompt)
    assert len(seen) > 200 and min(seen) < 90 and max(seen) > 300


def test_cuts_are_at_word_borders_where_that_is_possible() -> None:
    rng = np.random.default_rng(1)
    durations = np.full(60, 8)
    border = np.zeros(60, bool)
    border[::6] = True
    for _ in range(100):
        run = cut_prompt(durations, border, CONFIG, rng)
        assert run is not None
        first, end = run
        for cut in (first, end):
            assert cut in (0, 60) or border[cut] or border[cut - 1]


def test_without_borders_cuts_are_between_phonemes() -> None:
    durations = np.full(40, 10)
    assert cut_prompt(durations, np.zeros(40, bool), CONFIG, np.random.default_rng(0)) is not None


def test_no_whole_run_of_an_allowed_length_leaves_the_utterance_whole() -> None:
    durations = np.array([400, 400])  # each token is longer than a prompt may be
    assert cut_prompt(durations, np.zeros(2, bool), CONFIG, np.random.default_rng(0)) is None


def test_prompts_come_from_all_places() -> None:
    rng = np.random.default_rng(2)
    durations, border = np.full(100, 8), np.zeros(100, bool)
    covered = np.zeros(100, int)
    for _ in range(400):
        first, end = cut_prompt(durations, border, CONFIG, rng)  # type: ignore[misc]
        covered[first:end] += 1
    assert covered[15:-15].min() > 60 and covered.min() > 0


def test_the_seed_decides_the_cut(examples: list[Example]) -> None:
    example = next(e for e in examples if e.codes.shape[1] > 600)
    cuts = {
        collate([Example(**{**vars(example), "seed": s})], BORDER, CONFIG).prompt_frames[0].item()
        for s in (1, 2, 3, 4, 5)
    }
    again = [collate([example], BORDER, CONFIG).prompt_frames[0].item() for _ in range(2)]
    assert len(cuts) > 1 and again[0] == again[1]


def test_short_utterances_take_another_of_the_speaker() -> None:
    rng = np.random.default_rng(3)
    short = make(rng, 4, longest=20)
    other = np.arange(1000, 1600)[None].repeat(2, 0)
    with_other = Example(**{**vars(short), "other": other})
    batch = collate([with_other, short], BORDER, CONFIG)
    assert batch.frames.tolist() == [short.codes.shape[1]] * 2
    assert batch.prompt_frames.tolist() == [375, 0]
    prompt = batch.prompt_codes[0, 0].tolist()
    assert prompt == list(range(prompt[0], prompt[0] + 375)) and prompt[0] >= 1000


def test_another_utterance_is_cut_at_any_place() -> None:
    rng = np.random.default_rng(4)
    starts = {cut_other(400, CONFIG, rng)[0] for _ in range(300)}
    assert min(starts) == 0 and max(starts) == 25
    assert cut_other(200, CONFIG, rng) == (0, 200)


def test_columns_that_do_not_belong_together() -> None:
    example = make(np.random.default_rng(5), 20)
    wrong = Example(**{**vars(example), "f0": example.f0[:-1]})
    with pytest.raises(ValueError, match="not of one utterance"):
        collate([wrong], BORDER, CONFIG)
    wrong = Example(**{**vars(example), "durations": np.append(example.durations, 0)})
    with pytest.raises(ValueError, match="21 durations for 20 phonemes"):
        collate([wrong], BORDER, CONFIG)


def test_settings_that_can_not_be() -> None:
    with pytest.raises(ValueError, match="raise whole_below"):
        PromptConfig(shortest=75, whole_below=100)
    with pytest.raises(ValueError, match="shortest <= longest"):
        PromptConfig(shortest=80, longest=70)


def speech(rng: np.random.Generator, words: int) -> tuple[np.ndarray, np.ndarray]:
    """Durations of words of a few phones, and which tokens are no phones."""
    durations, marks = [5], [True]
    for phones in rng.integers(1, 8, words).tolist():
        durations += [*rng.integers(2, 12, phones).tolist(), int(rng.integers(0, 2) * 9)]
        marks += [False] * phones + [True]
    return np.array(durations), np.array(marks)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_share_decides_the_length_and_leaves_the_place_to_chance(share: float) -> None:
    rng = np.random.default_rng(0)
    off, places = [], []
    for _ in range(400):
        durations, border = speech(rng, int(rng.integers(12, 40)))
        frames = int(durations.sum())
        run = cut_prompt(durations, border, CONFIG, rng, share)
        assert run is not None
        ends = np.concatenate([[0], np.cumsum(durations)])
        length = int(ends[run[1]] - ends[run[0]])
        most = min(375, frames // 2)
        assert 75 <= length <= most
        off.append(length - (75 + share * (most - 75)))
        places.append(ends[run[0]] / (frames - length))
    # within a third of a word, while a drawn place is met within half a word
    assert np.abs(off).mean() < 8 and abs(np.mean(off)) < 6
    assert np.histogram(places, 4, (0, 1))[0].min() > 400 / 4 / 1.5


def test_lengths_by_shares_are_those_that_are_drawn() -> None:
    rng = np.random.default_rng(1)
    durations, border = speech(rng, 60)
    lengths = np.zeros((2, 1500))
    for i in range(1500):
        for way, share in enumerate((None, float(rng.random()))):
            run = cut_prompt(durations, border, CONFIG, rng, share)
            assert run is not None
            lengths[way, i] = durations[run[0] : run[1]].sum()
    drawn, shared = np.sort(lengths)
    # the distributions are the same but for the cuts, which move lengths by some frames
    assert np.abs(drawn - shared).mean() < 12
    assert shared.min() < 85 and shared.max() > 350


def test_no_share_is_too_large() -> None:
    frames = np.arange(150, 1200)
    wanted = CONFIG.wanted(frames, 1 - 2**-53)
    np.testing.assert_array_equal(wanted, np.minimum(375, frames // 2))
    np.testing.assert_array_equal(CONFIG.wanted(frames, 0.0), np.full(len(frames), 75))
