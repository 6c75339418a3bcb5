"""From tiers to tokens and frames: compared with frame centres counted one by one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pytest

from ns2.pipeline.align.textgrid.frames import Aligned, align_textgrid, give_frames
from ns2.pipeline.align.textgrid.marks import marks_behind
from ns2.pipeline.align.textgrid.read import Interval, TextGrid, Tier, parse_textgrid
from ns2.pipeline.align.textgrid.tiers import SILENCES, TierNames
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import FrameGrid, Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.tools.textgrids import textgrid_text
from tests.support.textgrid_factories import Spans, spans

GRID = FrameGrid()
PHONES = ("a", "b", "k", "iː", "ˈuː")


def textgrid(tiers: Mapping[str, Spans | None], end: float = 1.0, start: float = 0.0) -> TextGrid:
    return TextGrid(
        start,
        end,
        tuple(
            Tier(name, None if some is None else tuple(Interval(*one) for one in some))
            for name, some in tiers.items()
        ),
    )


def align(
    tiers: Mapping[str, Spans | None], end: float = 1.0, seconds: float | None = None, **names: str
) -> Aligned:
    samples = round((end if seconds is None else seconds) * GRID.sample_rate)
    return align_textgrid(textgrid(tiers, end), samples, GRID, TierNames(**names))


def refusal(tiers: Mapping[str, Spans | None], **more: object) -> tuple[Reason, str]:
    with pytest.raises(UtteranceError) as error:
        align(tiers, **more)  # type: ignore[arg-type]
    return error.value.reason, error.value.message


def centres_in(start: float, end: float, frames: int) -> int:
    """Frames whose centre lies in [start, end), counted one by one in exact arithmetic."""
    rate, hop = GRID.sample_rate, GRID.hop_length
    centres = (Fraction(2 * i + 1, 2) * hop / rate for i in range(frames))
    return sum(Fraction(str(start)) <= centre < Fraction(str(end)) for centre in centres)


def test_durations_are_the_frame_centres_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        lengths = rng.integers(40, 300, 8) / 1000  # in ms, at least three frames each
        labels = ["", "a", "b", "", "k", "iː", "ˈuː", ""]
        parts = spans(*zip(lengths.tolist(), labels, strict=True))
        end = parts[-1][1]
        found = align({"phones": parts}, end)
        frames = GRID.frames(round(end * GRID.sample_rate))
        assert found.tokens == ("<sil>", "a", "b", "|", "k", "iː", "ˈuː", "<sil>")
        expected = [centres_in(start, behind, frames) for start, behind, _ in parts[:-1]]
        assert found.durations.tolist() == [*expected, frames - sum(expected)]
        assert found.durations.dtype == np.uint16


def test_words_cut_the_phones() -> None:
    phones = spans(
        (0.2, ""), (0.1, "a"), (0.1, "b"), (0.1, "k"), (0.2, "sp"), (0.1, "a"), (0.2, "")
    )
    words = spans((0.2, ""), (0.2, "guten Tag"), (0.1, "k"), (0.2, ""), (0.1, "a"), (0.2, ""))
    found = align({"phones": phones, "words": words})
    assert found.tokens == ("<sil>", "a", "b", "|", "k", "|", "a", "<sil>")
    assert found.words == (("guten Tag", 1, 3), ("k", 4, 5), ("a", 6, 7))
    assert found.durations[[3, 5]].tolist() == [0, 15] and found.durations.sum() == 75


def test_gaps_between_intervals_are_silence() -> None:
    whole = spans((0.2, ""), (0.2, "a"), (0.2, "sil"), (0.2, "b"), (0.2, "<eps>"))
    gaps = [one for one in whole if one[2] in ("a", "b")]
    words = [(0.2, 0.4, "a"), (0.6, 0.8, "b")]
    expected = align({"phones": whole, "words": words})
    found = align({"phones": gaps, "words": words})
    assert found.tokens == expected.tokens == ("<sil>", "a", "|", "b", "<sil>")
    assert found.durations.tolist() == expected.durations.tolist() == [15, 15, 15, 15, 15]


def test_a_pause_inside_a_word() -> None:
    phones = spans((0.2, "a"), (0.2, ""), (0.2, "b"), (0.4, ""))
    found = align({"phones": phones, "words": [(0.0, 0.6, "ab")]})
    assert found.tokens == ("<sil>", "a", "|", "b", "<sil>") and found.words == (("ab", 1, 4),)


def test_rounding_leaves_no_pauses() -> None:
    """A crack of a few ms between two phones of a word is no pause, wherever a centre lies."""
    for at in np.arange(0.3, 0.35, 0.001):
        phones = [(0.1, float(at), "a"), (float(at) + 0.004, 0.6, "b")]
        found = align({"phones": phones, "words": [(0.1, 0.6, "ab")]})
        assert found.tokens == ("<sil>", "a", "b", "<sil>")
        overlap = [(0.1, float(at) + 0.0009, "a"), (float(at), 0.6, "b")]
        assert align({"phones": overlap}).tokens == ("<sil>", "a", "b", "<sil>")


def test_all_that_lasts_to_the_end_gets_the_last_frame() -> None:
    for samples in range(24_001, 24_322, 40):
        end = samples / GRID.sample_rate
        found = align({"phones": [(0.5, end, "a")]}, end)
        assert found.durations.tolist() == [37, GRID.frames(samples) - 37, 0]


def test_short_phones_get_a_frame() -> None:
    phones = spans((0.5, "a"), (0.002, "b"), (0.002, "k"), (0.002, "b"), (0.3, "iː"), (0.194, ""))
    found = align({"phones": phones})
    assert found.durations.min() == 0 and found.durations[1:-1].min() == 1
    assert found.durations.sum() == 75
    assert abs(int(found.durations[1]) - 37) <= 2  # no border moves further than it has to


def test_given_frames_against_brute_force() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        count = int(rng.integers(2, 7))
        given = rng.integers(0, 4, count).tolist()
        least = rng.integers(0, 2, count).tolist()
        if sum(least) > sum(given):
            with pytest.raises(UtteranceError) as error:
                give_frames(given, least)
            assert error.value.reason is Reason.MORE_PHONES_THAN_FRAMES
            continue
        found = give_frames(given, least)
        assert sum(found) == sum(given)
        assert all(one >= few for one, few in zip(found, least, strict=True))
        lacking = [max(few - one, 0) for one, few in zip(given, least, strict=True)]
        moved = sum(abs(one - new) for one, new in zip(given, found, strict=True)) // 2
        assert moved == sum(lacking)  # nothing but what lacks changes hands
        if sum(lacking) == 1:
            # of all ways to give one frame the border that moves most tokens is never chosen
            i = lacking.index(1)
            far = {abs(j - i) for j in range(count) if found[j] < given[j]}
            ways = [abs(j - i) for j in range(count) if j != i and given[j] > least[j]]
            assert far == {min(ways)}


def test_silences_are_no_phones() -> None:
    table = PhonemeTable.default()
    assert not [label for label in SILENCES if label in table.phones]


def test_tiers_by_name() -> None:
    a, b = spans((0.5, "a"), (0.5, "")), spans((0.5, "b"), (0.5, ""))
    word = [(0.0, 0.5, "x")]
    for tiers, names in (
        ({"Phones": a, "other": b}, {}),
        ({"Mary - phones": a, "Mary - words": word}, {}),
        ({"MAU": a, "phones": b, "ORT-MAU": word}, {"phones": "MAU", "words": "ORT-MAU"}),
        ({"PHONES": b, "phones": a}, {}),
        ({"Mary - phones": a, "John - phones": b, "Mary - words": word, "John - words": b},
         {"phones": "Mary - phones"}),
    ):  # fmt: skip
        found = align(tiers, **names)
        assert found.tokens[1] == "a"
        labels = [label for label, *_ in found.words]
        assert labels == (["x"] if word in tiers.values() else ["a"])


def test_without_words_each_stretch_is_one() -> None:
    phones = spans((0.2, "a"), (0.2, "b"), (0.2, ""), (0.2, "k"), (0.2, ""))
    for tiers in ({"phones": phones}, {"phones": phones, "words": [(0.0, 0.8, "abk")]}):
        found = align(tiers, words="")
        assert found.tokens == ("<sil>", "a", "b", "|", "k", "<sil>")
        assert found.words == (("ab", 1, 3), ("k", 4, 5))


def test_a_word_may_be_called_like_silence() -> None:
    phones = spans((0.4, "a"), (0.2, "sil"), (0.4, "b"))
    found = align({"phones": phones, "words": [(0.0, 0.4, "Sp"), (0.4, 0.6, "sil"), (0.6, 1, "#")]})
    assert [word for word, *_ in found.words] == ["Sp", "#"]


def test_composed_and_decomposed_labels() -> None:
    for label in ("ã", "a\u0303"):
        assert align({"phones": [(0.0, 1.0, label)]}).tokens[1] in PhonemeTable.default()


A = spans((0.2, ""), (0.3, "a"), (0.3, "b"), (0.2, ""))
BROKEN: list[tuple[Reason, str, dict[str, Spans | None], dict[str, object]]] = [
    (Reason.TEXTGRID_LENGTH, "lasts 1.000 s, longer than its audio of 0.970 s", {"phones": A},
     {"seconds": 0.97}),
    (Reason.TEXTGRID_LENGTH, "lasts 1.000 s, shorter than its audio of 2.000 s", {"phones": A},
     {"seconds": 2.0}),
    (Reason.TEXTGRID_NO_TIER, "no tier has the name 'phones'; its tiers are 'Mary', 'John'",
     {"Mary": A, "John": A}, {}),
    (Reason.TEXTGRID_NO_TIER, "2 tiers have the name 'phones'; they are 'A - phones', 'B - phones'",
     {"A - phones": A, "B - phones": A}, {}),
    (Reason.TEXTGRID_NO_TIER, "'phones' has points", {"phones": None}, {}),
    (Reason.TEXTGRID_NO_TIER, "right tier with --word-tier", {"phones": A}, {"words": "ORT"}),
    (Reason.TEXTGRID_NO_PHONES, "has only silence", {"phones": [(0.1, 0.9, "sp")]}, {}),
    (Reason.TEXTGRID_NO_PHONES, "has only silence", {"phones": []}, {}),
    (Reason.TEXTGRID_OVERLAP, "'b' begins at 0.400 s, before 'a' ends at 0.500 s",
     {"phones": [(0.2, 0.5, "a"), (0.4, 0.8, "b")]}, {}),
    (Reason.TEXTGRID_OVERLAP, "'b' begins at 0.100 s",
     {"phones": [(0.5, 0.6, "a"), (0.1, 0.3, "b")]}, {}),
    (Reason.TEXTGRID_OVERLAP, "the word 'y'",
     {"phones": A, "words": [(0.2, 0.6, "x"), (0.5, 0.8, "y")]}, {}),
    (Reason.TEXTGRID_BAD_TIMES, "begins at 0.500 s and ends at 0.200 s",
     {"phones": [(0.5, 0.2, "a")]}, {}),
    (Reason.TEXTGRID_BAD_TIMES, "ends at 0.500 s", {"phones": [(0.5, 0.5, "a")]}, {}),
    (Reason.TEXTGRID_BAD_TIMES, "behind the end of the TextGrid",
     {"phones": [(0.5, 1.2, "a")]}, {}),
    (Reason.TEXTGRID_WORDS, "the phone 'b' at 0.500 s lies in no word",
     {"phones": A, "words": [(0.2, 0.5, "x")]}, {}),
    (Reason.TEXTGRID_WORDS, "the phone 'a' from 0.200 to 0.500 s reaches over the border",
     {"phones": A, "words": [(0.2, 0.4, "x"), (0.4, 0.8, "y")]}, {}),
    (Reason.TEXTGRID_WORDS, "the word 'y' at 0.800 s has no phones",
     {"phones": A, "words": [(0.2, 0.8, "x"), (0.8, 1.0, "y")]}, {}),
    (Reason.UNKNOWN_PHONEME, "<pad>", {"phones": [(0.0, 1.0, "<pad>")]}, {}),
    (Reason.MORE_PHONES_THAN_FRAMES, "100 phones in 75 frames",
     {"phones": spans(*((0.01, "a") for _ in range(100)))}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "part", "tiers", "more"), BROKEN)
def test_what_does_not_fit(
    reason: Reason, part: str, tiers: dict[str, Spans | None], more: dict[str, object]
) -> None:
    found, message = refusal(tiers, **more)
    assert found is reason and part in message


def test_a_part_of_a_longer_recording() -> None:
    with pytest.raises(UtteranceError, match=r"begins at 12.000 s.*Shift times"):
        align_textgrid(textgrid({"phones": A}, 13.0, 12.0), 24_000, GRID)


def test_length_may_be_off_by_a_frame() -> None:
    for seconds in (0.99, 1.0, 1.01):
        assert align({"phones": A}, seconds=seconds).durations.sum() == GRID.frames(
            round(seconds * GRID.sample_rate)
        )


def test_random_textgrids_keep_the_contract() -> None:
    """Whatever is accepted has phones of at least a frame, words in order, and a sum of T."""
    rng = np.random.default_rng(2)
    accepted = 0
    for _ in range(200):
        lengths = rng.choice([0.003, 0.008, 0.02, 0.1], int(rng.integers(2, 12))).tolist()
        labels = rng.choice([*PHONES, "", "sil"], len(lengths)).tolist()
        parts = spans(*zip(lengths, labels, strict=True))
        end = parts[-1][1]
        try:
            found = align({"phones": parts}, end)
        except UtteranceError as error:
            phones = sum(label in PHONES for label in labels)
            frames = GRID.frames(round(end * GRID.sample_rate))
            assert phones in (0, *range(frames + 1, 20)), error.message
            continue
        accepted += 1
        spoken = [token for token in found.tokens if token not in ("<sil>", "|")]
        assert spoken == [label for label in labels if label in PHONES]
        assert found.durations.sum() == GRID.frames(round(end * GRID.sample_rate))
        for token, frames in zip(found.tokens, found.durations, strict=True):
            assert frames >= (token in PHONES)
        edges = list(itertools.chain(*(word[1:] for word in found.words)))
        assert edges == sorted(edges) and _covered(found.words) == len(spoken)
    assert accepted > 100


def _covered(words: Sequence[tuple[str, int, int]]) -> int:
    return sum(end - first for _, first, end in words)


def test_silence_alone_is_written() -> None:
    meta = {"phonemes": ["<sil>"], "words": [], "samples": 5 * GRID.hop_length}
    written = textgrid_text(meta, np.array([5]), GRID, PhonemeTable.default().optional)
    assert [tier.name for tier in parse_textgrid(written.encode(), "x").tiers] == [
        "words",
        "phones",
    ]


def test_what_is_written_is_read_back_token_by_token() -> None:
    """Random words, marks and frames: all come back, wherever the pauses lie."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        tokens, words, marks, text = ["<sil>"], [], [], []
        for k in range(int(rng.integers(1, 5))):
            first = len(tokens)
            tokens += rng.choice(PHONES, int(rng.integers(1, 4))).tolist()
            words.append((f"w{k}", first, len(tokens)))
            marks.append(str(rng.choice([",", ".", "…", ""])))
            text.append(f"W{k}{marks[-1]}")
            tokens.append(marks[-1] or "|")
        if not marks[-1]:
            tokens.pop()
        tokens.append("<sil>")
        optional = PhonemeTable.default().optional
        least = np.array([token not in optional for token in tokens])
        durations = least + rng.integers(0, 4, len(tokens)) * rng.integers(0, 2, len(tokens))
        samples = int(durations.sum()) * GRID.hop_length - int(rng.integers(0, GRID.hop_length))
        meta = {"phonemes": tokens, "words": words, "samples": samples}
        written = textgrid_text(meta, durations, GRID, optional, short=bool(rng.integers(2)))
        found = align_textgrid(
            parse_textgrid(written.encode(), "x"), samples, GRID,
            marks=lambda labels, text=text: marks_behind(labels, " ".join(text), "en-us"),
        )  # fmt: skip
        assert found.tokens == tuple(tokens) and found.words == tuple(words)
        assert found.durations.tolist() == durations.tolist()


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("Well, I never.", ["well", "i", "never"], [",", "", "."]),
        ("Well, I never.", ["well i", "never"], ["", "."]),
        ("Well, I never.", ["Well,", "I", "Never."], [",", "", "."]),
        ("Take 2 eggs, please!", ["take", "two", "eggs", "please"], ["", "", ",", "!"]),
        ("Take 2, please!", ["take", "two", "please"], ["", "", "!"]),
        ("Quite another text.", ["well", "i", "never"], ["", "", ""]),
        ("Oh (really)? No; yes", ["oh", "really", "no", "yes"], ["", "?", ";", ""]),
        ("", ["a"], [""]),
        ("мама, мыла", ["мама", "мыла"], ["", ""]),  # not the language's script
    ],
)
def test_marks_of_a_transcript(text: str, labels: list[str], expected: list[str]) -> None:
    assert marks_behind(labels, text, "en-us") == expected


def test_a_number_of_several_words_takes_no_mark_away() -> None:
    text = "Il y a 1 200 000 amis, oui."
    labels = ["il", "y", "a", "1", "200", "000", "amis", "oui"]
    assert marks_behind(labels, text, "fr-fr") == ["", "", "", "", "", "", ",", "."]
    labels = ["Il", "y", "a", "1 200 000", "amis", "oui"]
    assert marks_behind(labels, text, "fr-fr") == ["", "", "", "", ",", "."]


def test_marks_are_pauses() -> None:
    phones = spans((0.2, "a"), (0.2, ""), (0.2, "b"), (0.2, ","), (0.2, ""))
    tiers = textgrid({"phones": phones, "words": [(0.0, 0.2, "x"), (0.4, 0.6, "y")]})
    found = align_textgrid(tiers, 24_000, GRID, marks=lambda words: ["?", "!"])
    assert found.tokens == ("<sil>", "a", "?", "b", ",", "<sil>")
    assert found.durations.tolist() == [0, 15, 15, 15, 15, 15]
    inside = textgrid({"phones": spans((0.2, "a"), (0.2, ","), (0.6, "b")), "words": [(0, 1, "x")]})
    assert align_textgrid(inside, 24_000, GRID).tokens == ("<sil>", "a", "|", "b", "<sil>")
