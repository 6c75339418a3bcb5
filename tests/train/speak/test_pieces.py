"""Pieces of long texts: none longer than what was learned, few shorter than they need to be."""

from __future__ import annotations

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.train.speak.pieces import Said, pieces


def cut(text: str, longest: int, language: str = "en-us") -> list[str]:
    """The pieces of a text, a phoneme a letter."""
    return [piece.text for piece in pieces(text, say, longest, language)]


def say(part: str) -> Said:
    """A phoneme a letter."""
    if not any(map(str.isalnum, part)):
        raise UserError("nothing to speak")
    return Said(ids=np.zeros(len(part)))


@pytest.mark.parametrize(
    ("longest", "told"),
    [
        (
            80,
            ["Dr. Smith met J. R. Jones at 5 p.m. in town.", "He paid 10,000 crowns! Good."],
        ),
        (50, ["Dr. Smith met J. R. Jones at 5 p.m. in town.", "He paid 10,000 crowns!", "Good."]),
        (400, ["Dr. Smith met J. R. Jones at 5 p.m. in town. He paid 10,000 crowns! Good."]),
    ],
)
def test_short_neighbours_are_joined_to_half_of_the_longest(longest: int, told: list[str]) -> None:
    text = "Dr. Smith met J. R. Jones at 5 p.m. in town. He paid 10,000 crowns! Good."
    assert cut(text, longest) == told


def test_numbers_stay_whole_where_a_sentence_is_too_long() -> None:
    text = "They sold 10,000 boats at 12:30, then 3.5 more; nobody knew why 1,250 were left behind"
    found = cut(text, 40)
    assert max(map(len, found)) <= 40
    assert " ".join(found).split() == text.split()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en-us", "and so they went on and on " * 110),
        ("cmn", "他们走了很远很远的路" * 300),
        ("th", "เขาเดินไปไกลมาก" * 200),
        ("ja", "東京から大阪まで歩いた" * 280),
        ("en-us", "One, two, three; four: five — six, " * 80),
    ],
)
def test_texts_without_a_full_stop_are_cut_all_the_same(language: str, text: str) -> None:
    found = cut(text, 120, language)
    assert max(map(len, found)) <= 120
    assert "".join("".join(found).split()) == "".join(text.split())
    assert min(map(len, found)) >= 20


def test_marks_alone_are_left_out_beside_words() -> None:
    assert cut("... !!!\n\nHello there. ???", 100) == ["Hello there. ???"]
    with pytest.raises(UserError, match="nothing to speak"):
        cut("... !!!", 100)
    with pytest.raises(UserError, match="the text is empty"):
        cut("  ", 100)


@pytest.mark.parametrize(
    ("text", "rests"),
    [
        ("He came. She saw the big old house.\n\nThey left.", [1, 1.5, 1.5]),
        ("He came to the house, and saw it all.", [0.6, 1.5]),
        ("He came to the house and he saw all of it", [0.25, 1.5]),
    ],
)
def test_pauses_are_as_long_as_what_ends_there(text: str, rests: list[float]) -> None:
    assert [piece.rest for piece in pieces(text, say, 30, "en-us")] == rests


def test_the_first_piece_of_a_long_text_is_not_waited_for() -> None:
    found = cut("He came to town. " * 40, 160)
    assert found[0] == "He came to town."
    assert {len(piece) for piece in found[1:-1]} == {84}
