"""Mixtures: shares are exact, turns spread evenly, plans need the epoch's number alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ns2.model.tts.prompts import PromptConfig
from ns2.pipeline.core.errors import UserError
from ns2.train.data.mix import parse_mix
from ns2.train.data.mixture import Mixture
from ns2.train.data.prefetch import Fetched, Reader
from ns2.train.data.selection import Data, open_data
from tests.support.dataset_factories import Recipe, make_dataset

SIZES = (40, 12, 8)
PROMPTS = PromptConfig(shortest=10, longest=28, whole_below=33)


def described(number: int) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of several speakers and languages, of which some are more frequent."""

    def change(row: dict[str, Any]) -> list[dict[str, Any]]:
        i = int(row["key"][-4:])
        speaker = "ab"[i % 4 == 0] if number else "abcdeeee"[i % 8]
        return [{**row, "speaker": speaker, "language": "de" if i % 10 < 3 else "en-us"}]

    return change


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("data")
    return [
        make_dataset(
            folder / f"set{i}",
            Recipe(shards=size // 4, per_shard=4, seed=i, change_row=described(i)),
        )
        for i, size in enumerate(SIZES)
    ]


def opened(roots: list[Path], mix: str, utterances: int, **options: Any) -> Data:
    return open_data(roots, split="", **options).mixed_by(mix, utterances)


def times(data: Data, epoch: int, **options: Any) -> np.ndarray:
    """How often each utterance comes in an epoch."""
    options = {"seed": 3, "global_frames": 400, "prompts": PROMPTS, **options}
    return np.bincount(data.plan(epoch=epoch, **options).order, minlength=len(data))


def values(data: Data, column: str) -> np.ndarray:
    """The values of utterances in a column; speakers with their dataset."""
    found = []
    for number in range(len(data)):
        owner = int(data.dataset_of[number])
        name = data.datasets[owner].row(int(data.position[number]))[column]
        found.append(f"{owner} {name}" if column == "speaker" else name)
    return np.array(found)


def expected(data: Data, weight: Callable[[int], float], column: str) -> dict[str, float]:
    """The share of each value of a column."""
    counts = Counter(values(data, column).tolist())
    whole = sum(map(weight, counts.values()))
    return {name: weight(count) / whole for name, count in counts.items()}


@pytest.mark.parametrize("utterances", [900, 901, 47])
def test_datasets_have_their_shares(roots: list[Path], utterances: int) -> None:
    data = opened(roots, "5:3:1", utterances)
    for epoch in range(4):
        found = times(data, epoch)
        assert found.sum() == utterances
        for i, share in enumerate((5, 3, 1)):
            own = found[data.dataset_of == i]
            assert abs(own.sum() - utterances * share / 9) < 1
            assert own.max() - own.min() <= 1


@pytest.mark.parametrize(
    ("mix", "column", "power"),
    [("speaker^0.5", "speaker", 0.5), ("language^0", "language", 0), ("speaker^1", "speaker", 1)],
)
def test_values_have_their_shares(roots: list[Path], mix: str, column: str, power: float) -> None:
    data = opened(roots, mix, 2000)
    found, of = times(data, 0), values(data, column)
    for name, share in expected(data, lambda count: count**power, column).items():
        own = found[of == name]
        assert abs(own.sum() - 2000 * share) < 1
        assert own.max() - own.min() <= 1


def test_shares_multiply_along_the_way(roots: list[Path]) -> None:
    data = opened(roots, "5:3:1 language^0.7 speaker^0", 5000)
    found, languages, speakers = times(data, 1), values(data, "language"), values(data, "speaker")
    for i, share in enumerate((5, 3, 1)):
        counts = Counter(languages[data.dataset_of == i].tolist())
        for language, count in counts.items():
            inside = (data.dataset_of == i) & (languages == language)
            own = 5000 * share / 9 * count**0.7 / sum(c**0.7 for c in counts.values())
            assert abs(found[inside].sum() - own) < 1
            names = set(speakers[inside].tolist())
            for name in names:
                assert abs(found[inside & (speakers == name)].sum() - own / len(names)) < 1


def test_small_shares_come_true_over_epochs(roots: list[Path]) -> None:
    """An epoch of 7 turns has no room for all speakers; 100 epochs have."""
    data = opened(roots, "speaker^0.5", 7)
    found = sum((times(data, epoch) for epoch in range(100)), np.zeros(len(data), np.int64))
    of = values(data, "speaker")
    for name, share in expected(data, lambda count: count**0.5, "speaker").items():
        own = found[of == name]
        assert abs(own.sum() - 700 * share) < 4
        assert own.max() - own.min() <= 1


def test_the_turns_of_earlier_epochs_are_those_that_were_planned() -> None:
    rng = np.random.default_rng(0)
    group = np.concatenate([np.arange(50), rng.integers(0, 50, 2000)]).astype(np.int32)
    mixture = Mixture(group, rng.random(50) ** 4, 333)
    sums = np.zeros(50, np.int64)
    for epoch in range(60):
        count, before = mixture.counts(5, epoch)
        assert (before == sums).all() and count.min() >= 0 and count.sum() == 333
        assert np.abs(count - 333 * mixture.share / mixture.share.sum()).max() < 1
        sums += count


def test_turns_are_spread_evenly(roots: list[Path]) -> None:
    data = opened(roots, "1:8:8", 1200)
    assert data.mixture is not None
    turns = data.mixture.turns(data.shards, seed=0, epoch=2)
    for number in range(len(data)):
        own = np.sort(turns.place[turns.numbers == number])
        np.testing.assert_allclose(np.diff(own), 1 / len(own))
        assert 0 <= own[0] < 1 / len(own)
    # each part of the epoch has the whole's shares, up to the size of its windows
    plan = data.plan(seed=0, epoch=2, global_frames=50)
    owners = data.dataset_of[plan.order]
    for part in np.array_split(owners, 3):
        found = np.bincount(part, minlength=3) / len(part)
        np.testing.assert_allclose(found, np.array([1, 8, 8]) / 17, atol=0.07)


def test_shares_of_many_utterances_are_exact() -> None:
    rng = np.random.default_rng(1)
    group = np.sort(rng.integers(0, 300, 100_000)).astype(np.int32)
    share = np.bincount(group) ** 0.3 * rng.uniform(0.5, 2, 300)
    mixture = Mixture(group, share / share.sum(), 150_000)
    turns = mixture.turns(np.arange(100_000) // 512, seed=1, epoch=9)
    found = np.bincount(group[turns.numbers], minlength=300) / 150_000
    np.testing.assert_allclose(found, mixture.share, atol=1 / 150_000)
    each = np.bincount(turns.numbers, minlength=100_000)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    assert (np.maximum.reduceat(each, first) - np.minimum.reduceat(each, first)).max() == 1


def read(data: Data, **options: Any) -> list[list[Fetched]]:
    options = {"seed": 1, "global_frames": 150, "epochs": 2, "prompts": PROMPTS, **options}
    with Reader(data, lambda one: one, other_below=33, **options) as reader:
        return [step.batch or [] for step in reader]


def told(fetched: list[Fetched]) -> list[tuple[int, int]]:
    return [(one.number, one.seed) for one in fetched]


def test_steps_are_those_of_any_ranks_and_of_any_start(roots: list[Path]) -> None:
    data = opened(roots, "5:3:1 speaker^0.5", 100)
    whole = [told(batch) for batch in read(data)]
    for ranks in (2, 3):
        shared = [read(data, rank=rank, ranks=ranks) for rank in range(ranks)]
        for step, parts in zip(whole, zip(*shared, strict=True), strict=True):
            assert sorted(pair for part in parts for pair in told(part)) == sorted(step)
    again = opened(roots, "speaker^.5 5:3:1", 100)
    first = len(again.plan(seed=1, epoch=0, global_frames=150, prompts=PROMPTS))
    assert [told(batch) for batch in read(again, start=(0, 5))] == whole[5:]
    assert [told(batch) for batch in read(again, start=(1, 2))] == whole[first + 2 :]


def test_each_turn_has_random_numbers_of_its_own(roots: list[Path]) -> None:
    fetched = [one for batch in read(opened(roots, "5:3:1", 300), epochs=1) for one in batch]
    pairs = {(one.number, one.seed) for one in fetched}
    assert len(pairs) == len(fetched) == 300 > len({one.number for one in fetched})


def test_the_plan_knows_the_prompts_of_all_turns(roots: list[Path]) -> None:
    data = opened(roots, "1:3:9", 200)
    plan = data.plan(seed=1, epoch=0, global_frames=150, prompts=PROMPTS)
    assert plan.lengths is not None
    for number, batch in enumerate(read(data, epochs=1)):
        lengths = plan.lengths.part(plan.places(number))
        for one, prompt in zip(batch, lengths.prompts.tolist(), strict=True):
            assert one.other is None or prompt == min(one.other.shape[1], 28)


def test_without_a_mix_each_utterance_comes_once(roots: list[Path]) -> None:
    data = opened(roots, "", 0)
    assert data.mixture is None and set(times(data, 0).tolist()) == {1}
    assert sorted(times(opened(roots, "", 90), 0).tolist()) == [1] * 30 + [2] * 30


@pytest.mark.parametrize(
    ("mix", "options", "message"),
    [
        ("5:3", {}, "has 2 shares, and the datasets are 3 .*set0, .*set1, .*set2.; give one"),
        ("5:0:1", {}, "a share of 0; leave that dataset out"),
        ("5:3:1 1:1:1", {}, "second one of datasets"),
        ("speaker^0.5 speaker^1", {}, "names speaker twice"),
        ("speakers^0.5", {}, "no column speakers; did you mean speaker"),
        ("seconds^0.5", {}, "seconds of .* names no groups, which are texts or"),
        ("speaker^99", {}, "power above 10"),
        ("speaker", {}, "either shares of the datasets, such as 5:3:1, or a column and a power"),
        ("5:3:1", {"where": "shard > 1"}, "set2: .* leave no utterance of this dataset"),
    ],
)
def test_a_wrong_mix_is_told(
    roots: list[Path], mix: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        opened(roots, mix, 0, **options)


def test_an_utterance_without_a_value_is_told(roots: list[Path], tmp_path: Path) -> None:
    def change(row: dict[str, Any]) -> list[dict[str, Any]]:
        i = int(row["key"][-4:])
        return [{**row, "align_score": None if i == 3 else float(i % 3)}]

    root = make_dataset(tmp_path / "a", Recipe(change_row=change))
    with pytest.raises(UserError, match=r'1 utterances of .* no align_score; .*is not None"'):
        opened([root], "align_score^0.5", 0)
    data = opened([root], "align_score^0", 240, where="align_score is not None")
    assert sorted(times(data, 0).tolist()) == [26] * 2 + [27] * 4 + [40] * 2


def test_a_mix_is_recorded_in_one_form() -> None:
    for parts in (["speaker^0.50", "5:3:1.0"], ["5:3:1 speaker^.5"], ["5.0:3:1", "speaker^0.5"]):
        assert parse_mix(parts).text == "5:3:1 speaker^0.5"
